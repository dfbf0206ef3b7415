"""plyzen's rules where they show: in spans and in the numbers, over a real socket."""

from __future__ import annotations

from typing import Any

from tests.ingest.server import Server, nearby

RECORD = {"artifact": "cart", "environment": "prod", "activity": "prod-deploy"}


def send(server: Server, event: str, clock: str, **changes: Any) -> list[str]:
    body = {**RECORD, "event": event, "timestamp": f"2026-03-02T{clock}Z", **changes}
    status, answer = server.call("/plyzen", body)
    assert (status, answer["result"]) == (200, "success"), answer
    return answer["spans"]


def fail_rate(server: Server) -> Any:
    status, answer = server.call("/api/dora?since=2026-03-01&until=2026-03-03")
    assert status == 200
    return answer["items"][0]["metrics"]["change_fail_rate"]


def test_a_test_and_an_alarm_without_a_version_are_about_the_last_deployed_one(tmp_path) -> None:
    with nearby(tmp_path) as server:
        for version, start, end in (("1", "09:00:00", "09:10:00"), ("2", "10:00:00", "10:10:00")):
            send(server, "start", start, version=version)
            send(server, "finish", end, version=version)
        assert (fail_rate(server)["value"], fail_rate(server)["n"]) == (0, 2)
        send(server, "finish", "10:25:00", activity="smoke-test", result="failure")
        assert fail_rate(server)["value"] == 0.5
        # One before the second deploy is about the first.
        send(server, "start", "09:30:00", activity="alarm")
        send(server, "finish", "09:40:00", activity="alarm")
        assert fail_rate(server)["value"] == 1


def test_a_start_without_a_finish_fails_after_its_timeout_until_it_comes(tmp_path) -> None:
    with nearby(tmp_path) as server:
        (ref,) = send(server, "start", "09:00:00", version="3")
        span = server.wait_for(
            lambda: (
                found
                if (found := server.call(f"/api/spans/{ref}")[1])["status"] == "timed_out"
                else None
            ),
            "the timeout",
        )
        assert (span["ended_at"], span["error"]) == ("2026-03-02T11:00:00Z", "timeout")
        send(server, "finish", "12:00:00", version="3")
        _, span = server.call(f"/api/spans/{ref}")
        assert (span["status"], span["ended_at"]) == ("ok", "2026-03-02T12:00:00Z")


def test_replayed_records_change_nothing(tmp_path) -> None:
    with nearby(tmp_path) as server:
        told = [("start", "09:00:00"), ("finish", "09:10:00")]
        for event, clock in told:
            send(server, event, clock, version="4")
        before = server.spans()
        for event, clock in [*told, *reversed(told)]:
            send(server, event, clock, version="4")
        assert server.spans() == before
