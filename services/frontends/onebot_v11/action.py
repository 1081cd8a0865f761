"""Every OneBot V11 action that is offered: parameters in, the answer's `data` out.

Source: https://github.com/botuniverse/onebot-11/blob/master/api/public.md. What is not in `ACTIONS`
is an unknown action. Parameters that the standard does not know are ignored.
"""

from collections.abc import Mapping

from frontends.onebot_v11 import (
    action_file,
    action_forward,
    action_group,
    action_message,
    action_other,
    action_user,
)
from frontends.onebot_v11.call import Handler

ACTIONS: Mapping[str, Handler] = {
    **action_message.ACTIONS,
    **action_forward.ACTIONS,
    **action_file.ACTIONS,
    **action_group.ACTIONS,
    **action_user.ACTIONS,
    **action_other.ACTIONS,
}
"""Every action that is offered, by its name."""
