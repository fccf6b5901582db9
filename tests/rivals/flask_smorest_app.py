"""A shop on flask-smorest."""

import io

from flask import Flask, send_file
from flask.views import MethodView
from flask_smorest import Api, Blueprint, abort
from flask_smorest.fields import Upload
from marshmallow import Schema, fields, validate

app = Flask(__name__)
app.config.update(
    API_TITLE="Shop",
    API_VERSION="1",
    OPENAPI_VERSION="3.0.3",
    OPENAPI_URL_PREFIX="/",
    PROPAGATE_EXCEPTIONS=False,
)
api = Api(app)
shop = Blueprint("shop", __name__)


class Item(Schema):
    name = fields.String(required=True)
    price = fields.Float(required=True, validate=validate.Range(min=0))
    tags = fields.List(fields.String(), load_default=list)


class Search(Schema):
    text = fields.String(required=True)
    most = fields.Integer(load_default=10)


class Files(Schema):
    photo = Upload(required=True)


class Written(Schema):
    name = fields.String()
    size = fields.Integer()


@shop.route("/items/")
class Items(MethodView):
    @shop.arguments(Search, location="query")
    @shop.response(200, Search)
    @shop.doc(operationId="search")
    def get(self, search):
        return search

    @shop.arguments(Item)
    @shop.response(201, Item)
    @shop.doc(operationId="add_item")
    def post(self, item):
        if item["name"] == "taken":
            abort(409, message="There is a taken already.")
        return item


@shop.route("/items/<int:number>")
@shop.response(200, Item)
@shop.doc(operationId="read_item")
def read_item(number):
    if number > 100:
        abort(404, message=f"There is no item {number}.")
    return {"name": "lamp", "price": number}


@shop.route("/items/<int:number>", methods=["DELETE"])
@shop.response(204)
@shop.doc(operationId="drop_item")
def drop_item(number):
    return None


@shop.route("/photos", methods=["POST"])
@shop.arguments(Files, location="files")
@shop.response(200, Written)
@shop.doc(operationId="add_photo")
def add_photo(files):
    return {"name": files["photo"].filename, "size": len(files["photo"].read())}


@shop.route("/photos/<name>")
@shop.response(200, {"format": "binary", "type": "string"}, content_type="image/png")
@shop.doc(operationId="read_photo")
def read_photo(name):
    return send_file(io.BytesIO(b"\x89PNG" + bytes(range(256))), mimetype="image/png", download_name=name)


@shop.route("/boom", methods=["POST"])
@shop.response(200)
@shop.doc(operationId="boom")
def boom():
    raise RuntimeError("kaput")


api.register_blueprint(shop)
