"""What holding a nested argument to its schema costs, with the two libraries that could do it.

Measured on two shared cores, Python 3.11.7, an object of three levels with a list of 20 objects:
jsonschema 4.26.0 compiles in 4 µs and checks in 778 µs; jsonschema-rs 0.61.0 compiles in 34 µs and checks in 3 µs.
"""

import statistics
import time

import jsonschema
import jsonschema_rs
from farcall_openapi.jsonschema import standard

DOCUMENT = {
    "components": {
        "schemas": {
            "Order": {
                "type": "object",
                "required": ["customer", "lines"],
                "properties": {
                    "customer": {"$ref": "#/components/schemas/Customer"},
                    "lines": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Line"}},
                },
            },
            "Customer": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "pattern": "^[A-Z]"},
                    "age": {"type": "integer", "minimum": 0, "nullable": True},
                },
            },
            "Line": {
                "type": "object",
                "required": ["dish", "amount"],
                "additionalProperties": False,
                "properties": {
                    "dish": {"type": "string", "enum": ["fries", "soup"]},
                    "amount": {"type": "integer", "minimum": 0, "exclusiveMinimum": True},
                    "with": {"type": "array", "items": {"type": "string"}},
                },
            },
        }
    }
}
ORDER = {
    "customer": {"name": "Ada", "age": None},
    "lines": [{"dish": "fries", "amount": n, "with": ["salt", "mayo"]} for n in range(1, 21)],
}
ROUNDS, CALLS = 5, 200


def microseconds(work):
    def one():
        began = time.perf_counter()
        for _ in range(CALLS):
            work()
        return (time.perf_counter() - began) / CALLS * 1e6

    return statistics.median(one() for _ in range(ROUNDS))


def main():
    schema = standard({"$ref": "#/components/schemas/Order"}, DOCUMENT)
    for name, make in (
        ("jsonschema", jsonschema.Draft202012Validator),
        ("jsonschema-rs", jsonschema_rs.Draft202012Validator),
    ):
        validator = make(schema)
        assert list(validator.iter_errors(ORDER)) == []
        compiling = microseconds(lambda make=make: make(schema))
        checking = microseconds(lambda validator=validator: list(validator.iter_errors(ORDER)))
        print(f"{name} {compiling:.0f} µs to compile, {checking:.0f} µs to check")


if __name__ == "__main__":
    main()
