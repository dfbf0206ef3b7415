"""A compiled load generator: `wrk`, with a script that sends one template after the other.

A loader in Python costs more than the receiver and hides what the receiver costs: the same server
reached 0.6 of a bare handler with one and 0.2 with this.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = r"""
local ffi = require("ffi")
ffi.cdef[[ typedef struct { long sec; long usec; } timeval; int gettimeofday(timeval *, void *); ]]
local at = ffi.new("timeval")
local function now()
  ffi.C.gettimeofday(at, nil)
  return tonumber(at.sec) + tonumber(at.usec) / 1e6
end

local heads, bodies, sent, answered, refused, began = {}, {}, 0, 0, 0, nil
local burst = tonumber(os.getenv("VS_BURST") or "0")

function init(args)
  for line in io.lines(args[1]) do
    local head, body = line:match("^(.-)\t(.*)$")
    heads[#heads + 1], bodies[#bodies + 1] = head, body
  end
end

function request()
  began = began or now()
  local copy = math.floor(sent / #bodies)
  local place = sent % #bodies + 1
  sent = sent + 1
  local marks = {["@N@"] = tostring(copy), ["@S@"] = string.format("%05x", copy % 1048576)}
  local body = bodies[place]:gsub("@[NS]@", marks)
  local head = heads[place]:gsub("@N@", tostring(copy)):gsub("|", "\r\n")
  return head .. "\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

function response(status)
  answered = answered + 1
  if status ~= 200 then refused = refused + 1 end
  if answered == burst then
    io.write(string.format("burst %f %d\n", now() - began, refused))
    io.flush()
  end
end

function done(summary, latency)
  io.write(string.format("result %d %d %d %d %d %d\n", summary.requests, summary.duration,
    summary.errors.status, summary.errors.timeout + summary.errors.read + summary.errors.connect,
    latency:percentile(50), latency:percentile(99)))
end
"""

needs_wrk = pytest.mark.skipif(
    shutil.which("wrk") is None, reason="needs wrk (apt-get install wrk)"
)


@dataclass(frozen=True, slots=True)
class Template:
    """One request; `@N@` in it is the number of the copy, `@S@` five hexadecimal digits of it."""

    path: str
    body: bytes
    headers: Sequence[tuple[str, str]] = ()

    def line(self) -> bytes:
        head = [f"POST {self.path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
        head += [f"{name}: {value}" for name, value in self.headers]
        assert b"\n" not in self.body
        return "|".join(head).encode() + b"\t" + self.body + b"\n"


@dataclass(frozen=True, slots=True)
class Measured:
    """What wrk counted."""

    requests: int
    seconds: float
    p50: float
    p99: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def _command(
    folder: Path, url: str, templates: Sequence[Template], seconds: int, connections: int
) -> list[str]:
    script, lines = folder / "load.lua", folder / "load.txt"
    script.write_text(SCRIPT)
    lines.write_bytes(b"".join(template.line() for template in templates))
    load = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s"]
    return ["wrk", *load, "-s", str(script), url, "--", str(lines)]


def load(
    folder: Path, url: str, templates: Sequence[Template], seconds: int, connections: int = 32
) -> Measured:
    """As many requests as the server takes for so long; AssertionError when one is refused."""
    command = _command(folder, url, templates, seconds, connections)
    ran = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True)
    found = re.search(r"^result (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)$", ran.stdout, re.MULTILINE)
    assert found, ran.stdout + ran.stderr
    requests, micros, refused, failed, p50, p99 = map(int, found.groups())
    assert refused == failed == 0, ran.stdout
    return Measured(requests, micros / 1e6, p50 / 1e6, p99 / 1e6)


class Burst:
    """So many requests as fast as they are answered, while the caller looks at other things."""

    def __init__(
        self,
        folder: Path,
        url: str,
        templates: Sequence[Template],
        requests: int,
        connections: int = 32,
    ) -> None:
        self.requests = requests
        self._process = subprocess.Popen(
            _command(folder, url, templates, 600, connections),
            stdout=subprocess.PIPE,
            text=True,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "VS_BURST": str(requests)},
        )

        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)

    def answered(self) -> float | None:
        """Seconds until the last of them was answered, None while some are not; AssertionError
        when one was refused."""
        assert self._process.stdout is not None
        assert self._process.poll() is None, "wrk ended before its burst"
        for line in iter(self._process.stdout.readline, ""):
            if line.startswith("burst "):
                _, seconds, refused = line.split()
                assert refused == "0", line
                return float(seconds)
        return None

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
