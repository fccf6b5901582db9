"""A shop on flask-openapi3."""

import io

from flask import jsonify, send_file
from flask_openapi3 import FileStorage, Info, OpenAPI
from pydantic import BaseModel, Field

app = OpenAPI(__name__, info=Info(title="Shop", version="1"))


class Item(BaseModel):
    name: str
    price: float = Field(ge=0)
    tags: list[str] = []


class Search(BaseModel):
    text: str
    most: int = 10


class Number(BaseModel):
    number: int


class Name(BaseModel):
    name: str


class Photo(BaseModel):
    photo: FileStorage


class Written(BaseModel):
    name: str
    size: int


PICTURE = {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}, "description": "A picture"}


@app.get("/items", operation_id="search", responses={200: Search})
def search(query: Search):
    return query.model_dump()


@app.post("/items", operation_id="add_item", responses={201: Item})
def add_item(body: Item):
    if body.name == "taken":
        return jsonify(message="There is a taken already."), 409
    return body.model_dump(), 201


@app.get("/items/<int:number>", operation_id="read_item", responses={200: Item})
def read_item(path: Number):
    if path.number > 100:
        return jsonify(message=f"There is no item {path.number}."), 404
    return {"name": "lamp", "price": path.number, "tags": []}


@app.delete("/items/<int:number>", operation_id="drop_item", responses={204: None})
def drop_item(path: Number):
    return "", 204


@app.post("/photos", operation_id="add_photo", responses={200: Written})
def add_photo(form: Photo):
    return {"name": form.photo.filename, "size": len(form.photo.read())}


@app.get("/photos/<name>", operation_id="read_photo", responses={200: PICTURE})
def read_photo(path: Name):
    return send_file(io.BytesIO(b"\x89PNG" + bytes(range(256))), mimetype="image/png", download_name=path.name)


@app.post("/boom", operation_id="boom")
def boom():
    raise RuntimeError("kaput")
