"""A shop on APIFlask."""

import io

from apiflask import APIFlask, FileSchema, Schema, abort
from apiflask.fields import File, Float, Integer, List, String
from apiflask.validators import Range
from flask import send_file

app = APIFlask(__name__, title="Shop", version="1")


class Item(Schema):
    name = String(required=True)
    price = Float(required=True, validate=Range(min=0))
    tags = List(String(), load_default=list)


class Search(Schema):
    text = String(required=True)
    most = Integer(load_default=10)


class Files(Schema):
    photo = File(required=True)


class Written(Schema):
    name = String()
    size = Integer()


@app.get("/items")
@app.input(Search, location="query")
@app.output(Search)
@app.doc(operation_id="search")
def search(query_data):
    return query_data


@app.post("/items")
@app.input(Item)
@app.output(Item, status_code=201)
@app.doc(operation_id="add_item")
def add_item(json_data):
    if json_data["name"] == "taken":
        abort(409, message="There is a taken already.")
    return json_data


@app.get("/items/<int:number>")
@app.output(Item)
@app.doc(operation_id="read_item")
def read_item(number):
    if number > 100:
        abort(404, message=f"There is no item {number}.")
    return {"name": "lamp", "price": number}


@app.delete("/items/<int:number>")
@app.output({}, status_code=204)
@app.doc(operation_id="drop_item")
def drop_item(number):
    return ""


@app.post("/photos")
@app.input(Files, location="files")
@app.output(Written)
@app.doc(operation_id="add_photo")
def add_photo(files_data):
    return {"name": files_data["photo"].filename, "size": len(files_data["photo"].read())}


@app.get("/photos/<name>")
@app.output(FileSchema(type="string", format="binary"), content_type="image/png")
@app.doc(operation_id="read_photo")
def read_photo(name):
    return send_file(io.BytesIO(b"\x89PNG" + bytes(range(256))), mimetype="image/png", download_name=name)


@app.post("/boom")
@app.doc(operation_id="boom")
def boom():
    raise RuntimeError("kaput")
