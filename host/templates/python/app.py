"""Plugin {{plugin}}."""

from dataclasses import dataclass

from stepwright import Context, Permanent, handler, plugin


@dataclass
class Guest:
    name: str


@dataclass
class Greeting:
    text: str


@handler
def greet(guest: Guest, ctx: Context) -> Greeting:
    """Greets a guest by name."""
    if not guest.name:
        raise Permanent("nobody is there to be greeted", code="no_name")
    ctx.info(f"greeting {guest.name}", attempt=ctx.attempt)
    return Greeting(text=f"Hello, {guest.name}!")


Handler = plugin("{{plugin}}", version="0.1.0", summary="Greets people.", handlers=[greet])
