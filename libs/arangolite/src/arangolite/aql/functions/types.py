"""Functions that test and convert types."""

from arangolite.aql import operators
from arangolite.aql.functions.registry import ANY_NUMBER, alias, function
from arangolite.aql.operators import to_list, to_number, to_string
from arangolite.storage.names import is_key
from arangolite.values import Value, truthy, type_rank

_TYPE_NAMES = ("null", "bool", "number", "string", "array", "object")
for _rank, _name in enumerate(("NULL", "BOOL", "NUMBER", "STRING", "ARRAY", "OBJECT")):
    function(f"IS_{_name}", 1)(operators.is_type(_rank))
alias("IS_LIST", "IS_ARRAY")
alias("IS_DOCUMENT", "IS_OBJECT")
function("TYPENAME", 1)(lambda value: _TYPE_NAMES[type_rank(value)])
function("TO_BOOL", 1)(truthy)
function("TO_NUMBER", 1)(to_number)
function("TO_STRING", 1)(to_string)
function("TO_ARRAY", 1)(to_list)
alias("TO_LIST", "TO_ARRAY")
function("NOT_NULL", 1, ANY_NUMBER)(lambda *values: next((value for value in values if value is not None), None))
function("FIRST_LIST", 1, ANY_NUMBER)(lambda *values: next((value for value in values if type(value) is list), None))
function("FIRST_DOCUMENT", 1, ANY_NUMBER)(
    lambda *values: next((value for value in values if type(value) is dict), None)
)


@function("IS_KEY", 1)
def _is_key(value: Value) -> Value:
    return type(value) is str and is_key(value) is not None
