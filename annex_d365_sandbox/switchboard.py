"""Switches that check what they are set to: what every room of the sandbox declares its own with."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

#: The largest number: as days it still is a ``timedelta``.
MOST = 999_999_999
#: A number from 1; a plain ``int`` begins at 0.
Positive: TypeAlias = Annotated[int, 1]


class Switchboard:
    """The base of a dataclass whose fields are switches. An unknown name or a wrong value raises ``ValueError``."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, self.checked(name, value))

    @classmethod
    def checked(cls, name: str, value: Any) -> Any:
        """``value`` as the switch keeps it; a JSON array becomes a tuple where the switch is one.

        Raises:
            ValueError: there is no such switch, or it does not take the value.
        """
        hint = cls._hints().get(name)
        if hint is None:
            raise ValueError(f"unknown switch: {name}")
        if get_origin(hint) is tuple and isinstance(value, list):
            value = tuple(value)
        if not _fits(hint, value):
            raise ValueError(f"wrong value for the switch {name}")
        return value

    @classmethod
    def names(cls) -> list[str]:
        """All switches."""
        return list(cls._hints())

    @classmethod
    @cache
    def _hints(cls) -> dict[str, Any]:
        return get_type_hints(cls, include_extras=True)

    def restore(self) -> None:
        """Set every switch to its default."""
        for name, value in vars(type(self)()).items():
            setattr(self, name, value)


def _fits(hint: Any, value: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return any(type(value) is type(each) and value == each for each in inner)
    if origin is Annotated:
        return type(value) is inner[0] and inner[1] <= value <= MOST
    if origin in (list, tuple):
        return isinstance(value, origin) and all(_fits(inner[0], each) for each in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(inner[0], k) and _fits(inner[1], v) for k, v in value.items())
    return type(value) is hint and (hint is not int or 0 <= value <= MOST)
