"""A shop on FastAPI."""

from fastapi import FastAPI, HTTPException, Response, UploadFile
from pydantic import BaseModel, Field

app = FastAPI(title="Shop", version="1")


class Item(BaseModel):
    name: str
    price: float = Field(ge=0)
    tags: list[str] = []


@app.get("/items")
def search(text: str, most: int = 10):
    return {"text": text, "most": most}


@app.post("/items", status_code=201)
def add_item(item: Item):
    if item.name == "taken":
        raise HTTPException(409, "There is a taken already.")
    return item


@app.get("/items/{number}")
def read_item(number: int):
    if number > 100:
        raise HTTPException(404, f"There is no item {number}.")
    return {"name": "lamp", "price": number, "tags": []}


@app.delete("/items/{number}", status_code=204)
def drop_item(number: int) -> None:
    return None


@app.post("/photos")
def add_photo(photo: UploadFile):
    return {"name": photo.filename, "size": len(photo.file.read())}


@app.get("/photos/{name}", response_class=Response, responses={200: {"content": {"image/png": {}}}})
def read_photo(name: str):
    disposition = {"content-disposition": f'inline; filename="{name}"'}
    return Response(b"\x89PNG" + bytes(range(256)), media_type="image/png", headers=disposition)


@app.post("/boom")
def boom():
    raise RuntimeError("kaput")
