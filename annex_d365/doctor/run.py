"""Asks all checks of one service, one after another; none takes another along."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from annex_d365.doctor.model import CannotTellError, Check, Result, Verdict, cannot_tell, failed
from annex_d365.errors import ConnectorError, PrivilegeError, SettingError

logger = logging.getLogger(__name__)


def run(checks: Iterable[Check[Any]], context: Any, begin: Callable[[Check[Any]], None]) -> Iterator[Result]:
    """The results, in order.

    Args:
        checks: which.
        context: what they are about.
        begin: called before each.
    """
    unanswered: dict[str, Check[Any]] = {}
    for check in checks:
        if check.needs in unanswered:
            unanswered[check.id] = check
            yield Result(check, cannot_tell(f"Not asked, because of `{check.needs}`."))
            continue
        begin(check)
        result = _result(check, context)
        if result.finding.verdict is Verdict.FAILED:
            unanswered[check.id] = check
        yield result


def _result(check: Check[Any], context: Any) -> Result:
    try:
        return Result(check, check.run(context))
    except CannotTellError as reason:
        return Result(check, cannot_tell(str(reason)))
    except PrivilegeError as error:
        return Result(check, failed(str(error), todo="Add the privilege to the user's security role."), "privilege")
    except SettingError as error:
        return Result(check, failed(str(error), todo=f"Mend the setting `{error.setting}`."), "setting")
    except ConnectorError as error:
        return Result(check, failed(str(error)), type(error).__name__)
    except Exception as error:
        # Its text may hold what the service said.
        logger.debug("The check %s failed.", check.id, exc_info=True)
        sentence = f"The answer is of a form that this check does not know ({type(error).__name__})."
        return Result(check, failed(sentence, todo="Please send in the report."), type(error).__name__)
