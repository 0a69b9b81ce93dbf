"""Functions of strings."""

import base64
import hashlib
import re
import secrets
import string
import urllib.parse
import uuid
from collections.abc import Callable

import msgspec

from arangolite.aql import operators
from arangolite.aql.functions.registry import ANY_NUMBER, Implementation, function, strict_function, wrong_argument
from arangolite.aql.operators import Warn, compile_regex, to_number, to_string
from arangolite.errors import ArangoError, Problem
from arangolite.values import Value, truthy

_MAX_TOKEN_LENGTH = 65536
_MAX_REPEATED_LENGTH = 16 << 20


def _text(name: str, compute: Callable[[str], Value]) -> None:
    """Enter a function of one string; other values are converted."""
    function(name, 1)(lambda value: compute(to_string(value)))


def _digest(algorithm: str) -> Callable[[str], str]:
    return lambda text: hashlib.new(algorithm, text.encode(), usedforsecurity=False).hexdigest()


def _fnv64(text: str) -> str:
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:X}"


_CASTAGNOLI = 0x82F63B78  # the polynomial 0x1EDC6F41, its bits the other way round


def _crc32c(text: str) -> str:
    value = 0xFFFFFFFF
    for byte in text.encode():
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (_CASTAGNOLI if value & 1 else 0)
    return f"{value ^ 0xFFFFFFFF:X}"


for _name, _compute in {
    "LOWER": str.lower,
    "UPPER": str.upper,
    "CHAR_LENGTH": len,
    "MD5": _digest("md5"),
    "SHA1": _digest("sha1"),
    "SHA256": _digest("sha256"),
    "SHA512": _digest("sha512"),
    "CRC32": _crc32c,
    "FNV64": _fnv64,
    "TO_BASE64": lambda text: base64.b64encode(text.encode()).decode(),
    "TO_HEX": lambda text: text.encode().hex(),
    "ENCODE_URI_COMPONENT": lambda text: urllib.parse.quote(text, safe="-_.!~*'()"),
    "SOUNDEX": lambda text: _soundex(text),
}.items():
    _text(_name, _compute)


def _soundex(text: str) -> str:
    codes = {
        letter: str(code)
        for code, letters in enumerate(("BFPV", "CGJKQSXZ", "DT", "L", "MN", "R"), 1)
        for letter in letters
    }
    letters = [letter for letter in text.upper() if letter in string.ascii_uppercase]
    if not letters:
        return ""
    result, last = letters[0], codes.get(letters[0], "")
    for letter in letters[1:]:
        code = codes.get(letter, "")
        if code and code != last:
            result += code
        if letter not in "HW":
            last = code
    return (result + "000")[:4]


@function("CONCAT", 1, ANY_NUMBER)
def _concat(*values: Value) -> Value:
    given = values[0] if len(values) == 1 and type(values[0]) is list else values
    return "".join([to_string(value) for value in given])


@function("CONCAT_SEPARATOR", 1, ANY_NUMBER)
def _concat_separator(separator: Value, *values: Value) -> Value:
    given = values[0] if len(values) == 1 and type(values[0]) is list else values
    return to_string(separator).join([to_string(value) for value in given if value is not None])


@function("CONTAINS", 2, 3)
def _contains(text: Value, wanted: Value, as_index: Value = False) -> Value:
    place = to_string(text).find(to_string(wanted))
    return place if truthy(as_index) else place >= 0


def _found(text: Value, wanted: Value, start: Value, end: Value, *, last: bool) -> int:
    """Find a substring between two places, both inclusive."""
    hay, needle = to_string(text), to_string(wanted)
    first = int(to_number(start))
    stop = len(hay) if end is None else int(to_number(end)) + 1
    if first < 0 or (end is not None and stop < first):
        return -1
    return hay.rfind(needle, first, stop) if last else hay.find(needle, first, stop)


function("FIND_FIRST", 2, 4)(lambda text, wanted, start=0, end=None: _found(text, wanted, start, end, last=False))
function("FIND_LAST", 2, 4)(lambda text, wanted, start=0, end=None: _found(text, wanted, start, end, last=True))


@function("SUBSTRING", 2, 3)
def _substring(text: Value, start: Value, length: Value = None) -> Value:
    letters = to_string(text)
    first = int(to_number(start))
    first = max(len(letters) + first, 0) if first < 0 else first
    return letters[first:] if length is None else letters[first : first + max(int(to_number(length)), 0)]


@strict_function("SUBSTRING_BYTES", 2, 3)
def _substring_bytes(warn: Warn, text: Value, start: Value, length: Value = None) -> Value:
    """Cut by bytes of UTF-8; a cut inside of a character gives null and a warning."""
    content = to_string(text).encode()
    first = int(to_number(start))
    first = max(len(content) + first, 0) if first < 0 else first
    end = len(content) if length is None else first + max(int(to_number(length)), 0)
    try:
        return content[first:end].decode()
    except UnicodeDecodeError:
        return wrong_argument(warn)


function("LEFT", 2)(lambda text, length: to_string(text)[: max(int(to_number(length)), 0)])
function("RIGHT", 2)(lambda text, length: to_string(text)[-count:] if (count := max(int(to_number(length)), 0)) else "")


@strict_function("REPEAT", 2, 3)
def _repeat(warn: Warn, text: Value, count: Value, separator: Value = "") -> Value:
    part, between, times = to_string(text), to_string(separator), int(to_number(count))
    if times < 0:
        return wrong_argument(warn)
    if times * (len(part) + len(between)) > _MAX_REPEATED_LENGTH or times > _MAX_REPEATED_LENGTH:
        warn(Problem.RESOURCE_LIMIT)
        return None
    return between.join([part] * times)


@function("TRIM", 1, 2)
def _trim(text: Value, how: Value = 0) -> Value:
    """Trim both ends; the second argument is 1 for the left one, 2 for the right one, or the characters to trim."""
    letters = to_string(text)
    if type(how) is str:
        return letters.strip(how)
    return {1: letters.lstrip, 2: letters.rstrip}.get(int(to_number(how)), letters.strip)()


function("LTRIM", 1, 2)(
    lambda text, letters=None: to_string(text).lstrip(None if letters is None else to_string(letters))
)
function("RTRIM", 1, 2)(
    lambda text, letters=None: to_string(text).rstrip(None if letters is None else to_string(letters))
)


@strict_function("SPLIT", 1, 3)
def _split(warn: Warn, text: Value, separator: Value = None, limit: Value = None) -> Value:
    letters = to_string(text)
    if separator is None:
        return [letters]
    most = -1 if limit is None else int(to_number(limit))
    if limit is not None and most < 0:
        return wrong_argument(warn)
    marks = [to_string(mark) for mark in (separator if type(separator) is list else [separator])]
    parts = list(letters) if "" in marks else re.split("|".join(re.escape(mark) for mark in marks), letters)
    return parts if most < 0 else parts[:most]


@strict_function("SUBSTITUTE", 2, 4)
def _substitute(warn: Warn, text: Value, search: Value, replace: Value = "", limit: Value = None) -> Value:
    if type(search) is dict:
        limit = replace if replace != "" else limit
        table = {name: to_string(value) for name, value in search.items()}
    else:
        wanted = [to_string(item) for item in (search if type(search) is list else [search])]
        if type(replace) is list:
            table = {
                name: to_string(replace[place]) if place < len(replace) else "" for place, name in enumerate(wanted)
            }
        else:
            table = dict.fromkeys(wanted, to_string(replace))
    table.pop("", None)
    if not table:
        return to_string(text)
    most = 0 if limit is None else int(to_number(limit))
    if limit is not None and most <= 0:
        return to_string(text) if most == 0 else wrong_argument(warn)
    pattern = "|".join(re.escape(name) for name in sorted(table, key=len, reverse=True))
    return re.sub(pattern, lambda match: table[match[0]], to_string(text), count=most)


@function("STARTS_WITH", 2, 3)
def _starts_with(text: Value, prefix: Value, least: Value = 1) -> Value:
    if type(text) is not str:
        return False
    if type(prefix) is list:
        return sum(text.startswith(to_string(item)) for item in prefix) >= min(int(to_number(least)), len(prefix))
    return text.startswith(to_string(prefix))


function("LIKE", 2, 3)(
    lambda text, pattern, ignore_case=False: operators.matches_pattern(text, pattern, ignore_case=truthy(ignore_case))
)


def _regex(run: Callable[..., Value], flag: int = 0) -> Implementation:
    """Make a function of a regular expression warn about a pattern that is none.

    `flag` is where behind the pattern the argument stands that makes it ignore case.
    """

    def checked(warn: Warn, text: Value, pattern: Value, *rest: Value) -> Value:
        ignore_case = len(rest) > flag and truthy(rest[flag])
        try:
            compiled = compile_regex(to_string(pattern), ignore_case)
        except re.error:
            warn(Problem.QUERY_INVALID_REGEX)
            return None
        return run(compiled, to_string(text), *rest)

    return checked


def _regex_matches(pattern: re.Pattern[str], text: str, *_: Value) -> Value:
    found = pattern.search(text)
    return None if found is None else [found[0], *(group or "" for group in found.groups())]


def _regex_replace(pattern: re.Pattern[str], text: str, replacement: Value, *_: Value) -> Value:
    # ICU writes groups as $1, Python as \g<1>.
    return pattern.sub(re.sub(r"\$(\d)", r"\\g<\1>", to_string(replacement).replace("\\", "\\\\")), text)


def _regex_split(pattern: re.Pattern[str], text: str, *rest: Value) -> Value:
    parts = [part or "" for part in pattern.split(text)]
    return parts if len(rest) < 2 or rest[1] is None else parts[: max(int(to_number(rest[1])), 0)]


strict_function("REGEX_TEST", 2, 3)(_regex(lambda pattern, text, *_: pattern.search(text) is not None))
strict_function("REGEX_MATCHES", 2, 3)(_regex(_regex_matches))
strict_function("REGEX_REPLACE", 3, 4)(_regex(_regex_replace, flag=1))
strict_function("REGEX_SPLIT", 2, 4)(_regex(_regex_split))


function("UUID", 0, deterministic=False)(lambda: str(uuid.uuid4()))


@function("RANDOM_TOKEN", 1, deterministic=False)
def _random_token(length: Value) -> Value:
    count = int(to_number(length))
    if not 0 <= count <= _MAX_TOKEN_LENGTH:
        raise ArangoError(Problem.BAD_PARAMETER, "AQL: invalid argument for RANDOM_TOKEN() (while executing)")
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(count))


function("HASH", 1)(
    lambda value: int.from_bytes(
        hashlib.blake2b(msgspec.json.encode(value, order="deterministic"), digest_size=6).digest(), "big"
    )
)


@strict_function("TO_CHAR", 1)
def _to_char(warn: Warn, value: Value) -> Value:
    codes = value if type(value) is list else [value]
    if any(type(code) not in (int, float) or not 0 <= code < 0x110000 for code in codes):
        return wrong_argument(warn)
    return "".join(chr(int(code)) for code in codes)


@strict_function("IPV4_FROM_NUMBER", 1)
def _ipv4_from_number(warn: Warn, value: Value) -> Value:
    if type(value) is not int or not 0 <= value < 1 << 32:
        return wrong_argument(warn)
    return ".".join(str(byte) for byte in value.to_bytes(4, "big"))


def _ipv4_bytes(value: Value) -> bytes | None:
    parts = value.split(".") if type(value) is str else []
    if len(parts) != 4 or not all(part.isdecimal() and str(int(part)) == part and int(part) < 256 for part in parts):
        return None
    return bytes(int(part) for part in parts)


function("IS_IPV4", 1)(lambda value: _ipv4_bytes(value) is not None)
strict_function("IPV4_TO_NUMBER", 1)(
    lambda warn, value: wrong_argument(warn) if (found := _ipv4_bytes(value)) is None else int.from_bytes(found, "big")
)
