"""A type for text that must not be printed, logged or serialised by accident."""

from __future__ import annotations

from typing import Generic, NoReturn, TypeVar

T = TypeVar("T", str, bytes)


class Sensitive(Generic[T]):
    """Holds a value of a record; every implicit way to its text refuses.

    ``reveal()`` is the only way in, so that ``grep reveal`` lists every place that looks.
    """

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value: T = value

    def reveal(self) -> T:
        """Return the value itself."""
        return self._value

    def __reduce__(self) -> tuple[type[Sensitive[T]], tuple[T]]:
        """For the pipe to the step process only."""
        return type(self), (self._value,)

    def __len__(self) -> int:
        return len(self._value)

    def __repr__(self) -> str:
        return "<sensitive>"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sensitive) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __format__(self, spec: str) -> NoReturn:
        raise TypeError("sensitive text cannot be formatted; use reveal() where it is meant")


class SensitiveBytes(Sensitive[bytes]):
    """Bytes of a record: a key, a value, a header."""

    __slots__ = ()
