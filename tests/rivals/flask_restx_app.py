"""A shop on flask-restx, which describes itself by Swagger 2.0."""

import io

from flask import Flask, send_file
from flask_restx import Api, Resource, fields, reqparse
from werkzeug.datastructures import FileStorage

app = Flask(__name__)
api = Api(app, title="Shop", version="1", doc="/docs")
item = api.model(
    "Item",
    {
        "name": fields.String(required=True),
        "price": fields.Float(required=True, min=0),
        "tags": fields.List(fields.String, default=[]),
    },
)
search = reqparse.RequestParser()
search.add_argument("text", required=True, location="args")
search.add_argument("most", type=int, default=10, location="args")
files = reqparse.RequestParser()
files.add_argument("photo", type=FileStorage, required=True, location="files")


@api.route("/items/")
class Items(Resource):
    @api.doc(id="search")
    @api.expect(search)
    def get(self):
        return search.parse_args()

    @api.doc(id="add_item")
    @api.expect(item, validate=True)
    @api.marshal_with(item)
    def post(self):
        if api.payload["name"] == "taken":
            api.abort(409, "There is a taken already.")
        return api.payload


@api.route("/items/<int:number>")
class Item(Resource):
    @api.doc(id="read_item")
    @api.marshal_with(item)
    def get(self, number):
        if number > 100:
            api.abort(404, f"There is no item {number}.")
        return {"name": "lamp", "price": number}

    @api.doc(id="drop_item")
    @api.response(204, "dropped")
    def delete(self, number):
        return "", 204


@api.route("/photos")
class Photos(Resource):
    @api.doc(id="add_photo")
    @api.expect(files)
    def post(self):
        photo = files.parse_args()["photo"]
        return {"name": photo.filename, "size": len(photo.read())}


@api.route("/photos/<name>")
class Photo(Resource):
    @api.doc(id="read_photo")
    @api.produces(["image/png"])
    @api.response(200, "the photo")
    def get(self, name):
        return send_file(io.BytesIO(b"\x89PNG" + bytes(range(256))), mimetype="image/png", download_name=name)


@api.route("/boom")
class Boom(Resource):
    @api.doc(id="boom")
    def post(self):
        raise RuntimeError("kaput")
