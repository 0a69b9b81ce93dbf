"""The errors that ArangoDB's HTTP API knows: one number, one text and one HTTP status each.

Every refusal in this package is an `ArangoError`; the HTTP layer turns it into ArangoDB's error body. Numbers and texts
are those of ArangoDB 3.12 (its published table of error codes), because drivers decide by the number.
"""

from enum import Enum
from http import HTTPStatus


class Problem(Enum):
    """One error of ArangoDB's table: (errorNum, usual HTTP status, text)."""

    INTERNAL = (4, HTTPStatus.INTERNAL_SERVER_ERROR, "internal error")
    NOT_IMPLEMENTED = (9, HTTPStatus.NOT_IMPLEMENTED, "not implemented")
    BAD_PARAMETER = (10, HTTPStatus.BAD_REQUEST, "bad parameter")
    FORBIDDEN = (11, HTTPStatus.FORBIDDEN, "forbidden")
    NOT_AUTHORIZED = (11, HTTPStatus.UNAUTHORIZED, "not authorized to execute this request")
    TYPE_ERROR = (17, HTTPStatus.BAD_REQUEST, "type error")
    LOCK_TIMEOUT = (18, HTTPStatus.CONFLICT, "timeout waiting to lock collection")
    SHUTTING_DOWN = (30, HTTPStatus.SERVICE_UNAVAILABLE, "shutdown in progress")
    RESOURCE_LIMIT = (32, HTTPStatus.INTERNAL_SERVER_ERROR, "resource limit exceeded")
    HTTP_BAD_PARAMETER = (400, HTTPStatus.BAD_REQUEST, "bad parameter")
    UNAUTHORIZED = (401, HTTPStatus.UNAUTHORIZED, "unauthorized")
    HTTP_NOT_FOUND = (404, HTTPStatus.NOT_FOUND, "not found")
    METHOD_NOT_ALLOWED = (405, HTTPStatus.METHOD_NOT_ALLOWED, "method not supported")
    HTTP_NOT_ACCEPTABLE = (406, HTTPStatus.NOT_ACCEPTABLE, "request not acceptable")
    HTTP_SERVICE_UNAVAILABLE = (503, HTTPStatus.SERVICE_UNAVAILABLE, "service unavailable")
    CORRUPTED_JSON = (600, HTTPStatus.BAD_REQUEST, "invalid JSON object")
    READ_ONLY = (1004, HTTPStatus.FORBIDDEN, "read only")
    FILESYSTEM_FULL = (1104, HTTPStatus.INSUFFICIENT_STORAGE, "filesystem full")
    CONFLICT = (1200, HTTPStatus.CONFLICT, "conflict")
    DOCUMENT_NOT_FOUND = (1202, HTTPStatus.NOT_FOUND, "document not found")
    COLLECTION_NOT_FOUND = (1203, HTTPStatus.NOT_FOUND, "collection or view not found")
    COLLECTION_PARAMETER_MISSING = (1204, HTTPStatus.BAD_REQUEST, "parameter 'collection' not found")
    DOCUMENT_HANDLE_BAD = (1205, HTTPStatus.BAD_REQUEST, "illegal document identifier")
    DUPLICATE_NAME = (1207, HTTPStatus.CONFLICT, "duplicate name")
    ILLEGAL_NAME = (1208, HTTPStatus.BAD_REQUEST, "illegal name")
    NO_INDEX = (1209, HTTPStatus.NOT_FOUND, "no suitable index known")
    UNIQUE_CONSTRAINT = (1210, HTTPStatus.CONFLICT, "unique constraint violated")
    INDEX_NOT_FOUND = (1212, HTTPStatus.NOT_FOUND, "index not found")
    INDEX_HANDLE_BAD = (1214, HTTPStatus.BAD_REQUEST, "illegal index identifier")
    COLLECTION_TYPE_INVALID = (1218, HTTPStatus.BAD_REQUEST, "collection type invalid")
    ATTRIBUTE_PARSER_FAILED = (1220, HTTPStatus.BAD_REQUEST, "parsing attribute name definition failed")
    DOCUMENT_KEY_BAD = (1221, HTTPStatus.BAD_REQUEST, "illegal document key")
    DOCUMENT_KEY_UNEXPECTED = (1222, HTTPStatus.BAD_REQUEST, "unexpected document key")
    DOCUMENT_KEY_MISSING = (1226, HTTPStatus.BAD_REQUEST, "missing document key")
    DOCUMENT_TYPE_INVALID = (1227, HTTPStatus.BAD_REQUEST, "invalid document type")
    DATABASE_NOT_FOUND = (1228, HTTPStatus.NOT_FOUND, "database not found")
    DATABASE_NAME_INVALID = (1229, HTTPStatus.BAD_REQUEST, "database name invalid")
    USE_SYSTEM_DATABASE = (1230, HTTPStatus.FORBIDDEN, "operation only allowed in system database")
    INVALID_KEY_GENERATOR = (1232, HTTPStatus.BAD_REQUEST, "invalid key generator")
    INVALID_EDGE_ATTRIBUTE = (1233, HTTPStatus.BAD_REQUEST, "edge attribute missing or invalid")
    ONLY_ON_COORDINATOR = (
        1471,
        HTTPStatus.NOT_IMPLEMENTED,
        "this operation is only valid on a coordinator in a cluster",
    )
    QUERY_KILLED = (1500, HTTPStatus.GONE, "query killed")
    QUERY_PARSE = (1501, HTTPStatus.BAD_REQUEST, "syntax error")
    QUERY_EMPTY = (1502, HTTPStatus.BAD_REQUEST, "query is empty")
    QUERY_NUMBER_OUT_OF_RANGE = (1504, HTTPStatus.BAD_REQUEST, "number out of range")
    QUERY_VARIABLE_NAME_INVALID = (1510, HTTPStatus.BAD_REQUEST, "variable name invalid")
    QUERY_VARIABLE_REDECLARED = (1511, HTTPStatus.BAD_REQUEST, "variable is assigned multiple times")
    QUERY_VARIABLE_UNKNOWN = (1512, HTTPStatus.BAD_REQUEST, "unknown variable")
    QUERY_INVALID_OPTIONS_ATTRIBUTE = (1539, HTTPStatus.BAD_REQUEST, "unknown/invalid OPTIONS attribute used")
    QUERY_FUNCTION_UNKNOWN = (1540, HTTPStatus.BAD_REQUEST, "usage of unknown function")
    QUERY_ARGUMENT_COUNT = (1541, HTTPStatus.BAD_REQUEST, "invalid number of arguments")
    QUERY_ARGUMENT_TYPE = (1542, HTTPStatus.BAD_REQUEST, "invalid argument type")
    QUERY_INVALID_REGEX = (1543, HTTPStatus.BAD_REQUEST, "invalid regex value")
    QUERY_BIND_INVALID = (1550, HTTPStatus.BAD_REQUEST, "invalid structure of bind parameters")
    QUERY_BIND_MISSING = (1551, HTTPStatus.BAD_REQUEST, "no value specified for declared bind parameter")
    QUERY_BIND_UNDECLARED = (1552, HTTPStatus.BAD_REQUEST, "bind parameter was not declared in the query")
    QUERY_BIND_TYPE = (1553, HTTPStatus.BAD_REQUEST, "bind parameter has an invalid value or type")
    QUERY_INVALID_ARITHMETIC = (1561, HTTPStatus.BAD_REQUEST, "invalid arithmetic value")
    QUERY_DIVISION_BY_ZERO = (1562, HTTPStatus.BAD_REQUEST, "division by zero")
    QUERY_ARRAY_EXPECTED = (1563, HTTPStatus.BAD_REQUEST, "array expected")
    QUERY_FAIL_CALLED = (1569, HTTPStatus.BAD_REQUEST, "FAIL() called")
    QUERY_GEO_INDEX_MISSING = (1570, HTTPStatus.NOT_FOUND, "no suitable geo index found for geo restriction")
    QUERY_FULLTEXT_INDEX_MISSING = (1571, HTTPStatus.NOT_FOUND, "no suitable fulltext index found for fulltext query")
    QUERY_INVALID_DATE = (1572, HTTPStatus.BAD_REQUEST, "invalid date value")
    QUERY_INVALID_AGGREGATE = (1574, HTTPStatus.BAD_REQUEST, "invalid aggregate expression")
    QUERY_COMPILE_TIME_OPTIONS = (1575, HTTPStatus.BAD_REQUEST, "query options must be readable at query compile time")
    QUERY_FORCED_INDEX_HINT = (1577, HTTPStatus.BAD_REQUEST, "could not use forced index hint")
    QUERY_ACCESS_AFTER_MODIFICATION = (1579, HTTPStatus.BAD_REQUEST, "access after data-modification")
    QUERY_FUNCTION_NOT_FOUND = (1582, HTTPStatus.NOT_FOUND, "user function not found")
    QUERY_NOT_FOUND = (1591, HTTPStatus.NOT_FOUND, "query not found")
    QUERY_USER_ASSERT = (1593, HTTPStatus.BAD_REQUEST, "assertion failed")
    QUERY_USER_WARN = (1594, HTTPStatus.BAD_REQUEST, "warning")
    QUERY_WINDOW_AFTER_MODIFICATION = (1595, HTTPStatus.BAD_REQUEST, "window operation after data-modification")
    CURSOR_NOT_FOUND = (1600, HTTPStatus.NOT_FOUND, "cursor not found")
    CURSOR_BUSY = (1601, HTTPStatus.CONFLICT, "cursor is busy")
    VALIDATION_FAILED = (1620, HTTPStatus.BAD_REQUEST, "schema validation failed")
    VALIDATION_BAD_PARAMETER = (1621, HTTPStatus.BAD_REQUEST, "invalid schema validation parameter")
    TRANSACTION_UNREGISTERED = (1652, HTTPStatus.BAD_REQUEST, "unregistered collection used in transaction")
    TRANSACTION_DISALLOWED = (1653, HTTPStatus.BAD_REQUEST, "disallowed operation inside transaction")
    TRANSACTION_ABORTED = (1654, HTTPStatus.GONE, "transaction aborted")
    TRANSACTION_NOT_FOUND = (1655, HTTPStatus.NOT_FOUND, "transaction not found")
    USER_INVALID_NAME = (1700, HTTPStatus.BAD_REQUEST, "invalid user name")
    USER_DUPLICATE = (1702, HTTPStatus.CONFLICT, "duplicate user")
    USER_NOT_FOUND = (1703, HTTPStatus.NOT_FOUND, "user not found")
    TOKEN_NOT_FOUND = (404, HTTPStatus.NOT_FOUND, "access token not found")
    TOKEN_NAME_TAKEN = (409, HTTPStatus.CONFLICT, "the user has an access token with this name already")
    TASK_NOT_FOUND = (1852, HTTPStatus.NOT_FOUND, "task not found")
    GRAPH_COLLECTION_MULTI_USE = (1920, HTTPStatus.BAD_REQUEST, "multi use of edge collection in edge def")
    GRAPH_COLLECTION_IN_MULTI_GRAPHS = (
        1921,
        HTTPStatus.BAD_REQUEST,
        "edge collection already used in edge def",
    )
    GRAPH_MISSING_NAME = (1922, HTTPStatus.BAD_REQUEST, "missing graph name")
    GRAPH_MALFORMED_DEFINITION = (1923, HTTPStatus.BAD_REQUEST, "malformed edge definition")
    GRAPH_NOT_FOUND = (1924, HTTPStatus.NOT_FOUND, "graph not found")
    GRAPH_DUPLICATE = (1925, HTTPStatus.CONFLICT, "graph already exists")
    GRAPH_VERTEX_COLLECTION_MISSING = (
        1926,
        HTTPStatus.NOT_FOUND,
        "vertex collection does not exist or is not part of the graph",
    )
    GRAPH_WRONG_VERTEX_TYPE = (1927, HTTPStatus.BAD_REQUEST, "wrong collection type used for vertices")
    GRAPH_NOT_IN_ORPHANS = (1928, HTTPStatus.BAD_REQUEST, "not in orphan collection")
    GRAPH_COLLECTION_USED_IN_EDGE_DEFINITION = (1929, HTTPStatus.BAD_REQUEST, "collection already used in edge def")
    GRAPH_EDGE_COLLECTION_NOT_USED = (1930, HTTPStatus.NOT_FOUND, "edge collection not used in graph")
    GRAPH_COLLECTION_USED_IN_ORPHANS = (1938, HTTPStatus.BAD_REQUEST, "collection used in orphans")
    GRAPH_MUST_NOT_DROP = (1942, HTTPStatus.BAD_REQUEST, "must not drop collection while part of graph")
    GRAPH_MALFORMED_ORPHANS = (1943, HTTPStatus.BAD_REQUEST, "malformed orphan list")
    GRAPH_EDGE_DEFINITION_IS_DOCUMENT = (
        1944,
        HTTPStatus.BAD_REQUEST,
        "collection used as edge definition is no edge collection",
    )
    GRAPH_VERTEX_COLLECTION_NOT_USED = (
        1947,
        HTTPStatus.BAD_REQUEST,
        "referenced vertex collection is not part of the graph",
    )
    GRAPH_NEGATIVE_EDGE_WEIGHT = (1948, HTTPStatus.BAD_REQUEST, "negative edge weight found")
    QUEUE_FULL = (21003, HTTPStatus.SERVICE_UNAVAILABLE, "named queue is full")

    @property
    def number(self) -> int:
        """What drivers decide by."""
        return self.value[0]

    @property
    def status(self) -> HTTPStatus:
        """The HTTP status that ArangoDB usually sends with it."""
        return self.value[1]

    @property
    def text(self) -> str:
        """ArangoDB's own words."""
        return self.value[2]


class ArangoError(Exception):
    """A request that ArangoDB would refuse, in ArangoDB's own terms."""

    def __init__(self, problem: Problem, message: str | None = None, status: int | None = None) -> None:
        super().__init__(message or problem.text)
        self.problem = problem
        self.number = problem.number
        self.status = int(status or problem.status)
        self.message = message or problem.text


class StartupError(Exception):
    """The server cannot start; the message is one sentence for the person who started it."""


def not_supported(what: str) -> ArangoError:
    """Say that ArangoDB can do this and arangolite cannot (yet)."""
    return ArangoError(Problem.NOT_IMPLEMENTED, f"arangolite does not support {what}")
