"""Who one is, and what people share with one another."""

from __future__ import annotations

from typing import Any

from tests.fuzz.world import Ask, Person, Unmet, World


def plain(world: World) -> Ask:
    return Ask(world.anyone())


def nobody(world: World) -> Ask:
    return Ask(None)


def sign_in(world: World) -> Ask:
    person = world.anyone()

    def done(tokens: Any) -> None:
        world.spare.append((person, tokens["device_id"], tokens["refresh_token"]))

    body = {"email": person.email, "password": person.password, "device_name": world.fresh_name()}
    return Ask(None, body=body, done=done)


def spare(world: World) -> tuple[Person, str, str]:
    """A device nobody works at."""
    if not world.spare:
        world.ask("POST /v1/auth/token", sign_in(world))
    if not world.spare:
        raise Unmet("POST /v1/auth/token")
    return world.spare.pop(world.chance.randrange(len(world.spare)))


def refresh(world: World) -> Ask:
    person, device, token = spare(world)

    def done(tokens: Any) -> None:
        world.spare.append((person, device, tokens["refresh_token"]))

    return Ask(None, body={"refresh_token": token}, done=done)


def unlink(world: World) -> Ask:
    person, device, _ = spare(world)
    return Ask(person, path={"device_id": device})


def share(world: World) -> Ask:
    owner = world.anyone()
    node = world.new_folder(owner) if world.often(0.6) else world.new_file(owner)
    access = world.chance.choice(("read", "write"))
    return Ask(owner, path={"file": node}, body={"users": [{"email": world.other(owner).email, "access": access}]})


def shared_with(world: World) -> Ask:
    owner = world.anyone()
    return Ask(owner, path={"file": world.invited(owner, world.other(owner))})


def unshare(world: World) -> Ask:
    owner = world.anyone()
    guest = world.other(owner)
    folder = world.invited(owner, guest)
    return Ask(owner, path={"file": folder}, query={"email": guest.email} if world.often(0.5) else {})


def accept(world: World) -> Ask:
    owner = world.anyone()
    guest = world.other(owner)
    share = world.invited(owner, guest)
    body = world.chance.choice(({}, {"name": world.fresh_name()}, {"path": f"/{world.fresh_name()}"}))
    return Ask(guest, path={"share": share}, body=body)


def decline(world: World) -> Ask:
    owner = world.anyone()
    guest = world.other(owner)
    return Ask(guest, path={"share": world.invited(owner, guest)})


def of_member(world: World) -> Ask:
    owner = world.anyone()
    guest = world.other(owner)
    return Ask(guest, path={"share": world.joined(owner, guest)})


def mount(world: World) -> Ask:
    found = of_member(world)
    if world.often(0.5):
        world.need("POST /v1/shares/{share}/unmount", found.who, path=found.path)
    found.body = world.chance.choice(({}, {"name": world.fresh_name()}))
    return found


FEEDS = {
    "POST /v1/auth/token": sign_in,
    "POST /v1/auth/refresh": refresh,
    "GET /.well-known/jwks.json": nobody,
    "GET /healthz": nobody,
    "GET /readyz": nobody,
    "GET /v1/me": plain,
    "GET /v1/devices": plain,
    "DELETE /v1/devices/{device_id}": unlink,
    "GET /v1/namespaces": plain,
    "GET /v1/shared": plain,
    "POST /v1/files/{file}/share": share,
    "GET /v1/files/{file}/share": shared_with,
    "DELETE /v1/files/{file}/share": unshare,
    "POST /v1/shares/{share}/accept": accept,
    "POST /v1/shares/{share}/decline": decline,
    "POST /v1/shares/{share}/leave": of_member,
    "POST /v1/shares/{share}/mount": mount,
    "POST /v1/shares/{share}/unmount": of_member,
}
