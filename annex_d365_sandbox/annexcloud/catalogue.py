"""What a site has configured: actions, rewards, tiers (Annex page sections 6, 8 and 9).

The ids of :data:`ACTIONS` up to 192 and what they mean are documented; points, days, names and all else are examples.
"""

from __future__ import annotations

from dataclasses import dataclass, field

MANUAL, EXPIRY, REDEMPTION, ACTION_DEBIT = 100, 106, 107, 192


@dataclass(frozen=True)
class Action:
    """What members earn or lose points by. ``points`` are awarded where a request names no amount; 0 is none."""

    action_id: int
    name: str
    points: int = 0
    #: days that a credit is on hold; 0 is none
    hold_days: int = 0
    #: days after which what is left of a credit expires; 0 is never
    expire_days: int = 0
    status: str = "ACTIVE"


@dataclass(frozen=True)
class Reward:
    """What points buy."""

    reward_id: str
    name: str
    credits: int


@dataclass(frozen=True)
class Tier:
    """A level; ASSUMPTION: reached by so many lifetime points and never lost."""

    name: str
    points: int


ACTIONS = (
    Action(MANUAL, "Manual Credit/Debit", expire_days=365),
    Action(101, "Create Account", points=100),
    Action(EXPIRY, "Points Expired"),
    Action(REDEMPTION, "Reward Redemption"),
    Action(109, "Purchase", expire_days=730),
    Action(148, "Order Return"),
    Action(174, "Issuance Purchase", expire_days=730),
    Action(ACTION_DEBIT, "Action Debit Points"),
    Action(201, "Write a Review", points=50, hold_days=14, expire_days=365),
    Action(202, "Refer a Friend", points=200, status="INACTIVE"),
)
REWARDS = (Reward("501", "$5 Reward", 500), Reward("502", "$10 Reward", 1000), Reward("503", "$25 Reward", 2500))
TIERS = (Tier("Bronze", 0), Tier("Silver", 500), Tier("Gold", 2000))
#: Points of one unit of currency.
CREDITS_TO_CURRENCY_RATIO = 100


@dataclass
class Catalogue:
    """A site's own; tests may change it. ``tiers`` go up, and the first takes no points."""

    actions: dict[int, Action] = field(default_factory=lambda: {action.action_id: action for action in ACTIONS})
    rewards: dict[str, Reward] = field(default_factory=lambda: {reward.reward_id: reward for reward in REWARDS})
    tiers: tuple[Tier, ...] = TIERS
    credits_to_currency_ratio: int = CREDITS_TO_CURRENCY_RATIO
