"""Pools of names and places in the languages of a retailer's customers, made once by Faker and then only combined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from faker import Faker

#: Locale of Faker -> country, telephone prefix, share of the customers in parts per hundred.
LOCALES: dict[str, tuple[str, str, int]] = {
    "en_US": ("United States", "+1", 20),
    "en_GB": ("United Kingdom", "+44", 15),
    "de_DE": ("Germany", "+49", 14),
    "fr_FR": ("France", "+33", 10),
    "es_ES": ("Spain", "+34", 8),
    "pl_PL": ("Poland", "+48", 6),
    "tr_TR": ("Türkiye", "+90", 6),
    "zh_CN": ("China", "+86", 5),
    "ja_JP": ("Japan", "+81", 5),
    "ar_SA": ("Saudi Arabia", "+966", 4),
    "he_IL": ("Israel", "+972", 3),
    "el_GR": ("Greece", "+30", 2),
    "ru_RU": ("Kazakhstan", "+7", 2),
}
_SIZE = 60
#: Names that have broken somebody's quoting, escaping or length check.
ODD_FIRST = ("Seán", "Jean-François", 'Ann "Annie"', "Zoë", "José 🎉", "Mary Ann", "N'Golo", "Ana %", "Åsa", "🦊")
ODD_LAST = (
    "O'Brien",
    "D'Angelo",
    "van der Berg",
    "Smith & Sons",
    "Müller-Lüdenscheidt",
    "Nguyễn",
    "Łukaszewicz",
    "İnönü",
    "King 👑",
    "Null",
    "Ng",
    "Saint-John 'Jr.'",
    "Wolfeschlegelsteinhausenbergerdorffwelchevoralter-",  # 50 characters: the most that the column takes
)


@dataclass(frozen=True)
class Pool:
    """What customers of one country are called and where they live."""

    country: str
    prefix: str
    first: tuple[str, ...]
    last: tuple[str, ...]
    cities: tuple[str, ...]
    streets: tuple[str, ...]
    postcodes: tuple[str, ...]


def _some(make: Callable[[], str], limit: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys(make().replace("\n", " ")[:limit] for _ in range(_SIZE)))


@cache
def pools() -> tuple[tuple[Pool, ...], tuple[int, ...]]:
    """All pools, and the share of each."""
    made = []
    for locale, (country, prefix, _) in LOCALES.items():
        fake = Faker(locale)
        fake.seed_instance(locale)
        made.append(
            Pool(
                country,
                prefix,
                _some(fake.first_name, 50),
                _some(fake.last_name, 50),
                _some(fake.city, 80),
                _some(fake.street_address, 250),
                _some(fake.postcode, 20),
            )
        )
    return tuple(made), tuple(share for _, _, share in LOCALES.values())
