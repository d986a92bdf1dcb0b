"""Classes of which several instances are made for each row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Callable[[Any], Any]:
        """What only type checkers look at, and Python has from 3.12 on."""
        return lambda decorator: decorator


T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """A dataclass that is not changed: mypy sees to it.

    Python would see to it, too, with ``@dataclass(frozen=True)``, but takes four times as long to make an instance.
    """
    return dataclass(unsafe_hash=True, slots=True)(cls)
