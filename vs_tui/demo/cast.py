"""Who works at Acme, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Person:
    login: str
    name: str
    number: int

    @property
    def email(self) -> str:
        return f"{self.login.replace('[bot]', '')}@acme.example"


MIRA: Final = Person("mira-kovac", "Mira Kovač", 4100101)
JONAS: Final = Person("jonaswei", "Jonas Weiß", 4100102)
ADAEZE: Final = Person("adaeze-o", "Adaeze Okonkwo", 4100103)
TOMO: Final = Person("tomo-sato", "佐藤 智", 4100104)
CORE: Final = (MIRA, JONAS, ADAEZE, TOMO)

LENA: Final = Person("lena.holm", "Lena Holm", 51)
RUIZ: Final = Person("c.ruiz", "Carmen Ruiz", 52)
YUKI: Final = Person("yuki", "Yuki 雪村", 53)
WEB: Final = (LENA, RUIZ, YUKI)

PRIYA: Final = Person("priyanair", "Priya Nair", 4100111)
OSKAR: Final = Person("oskar-l", "Oskar Lindqvist", 4100112)
FATOU: Final = Person("fatou-d", "Fatou Diallo", 4100113)
PLAT: Final = (PRIYA, OSKAR, FATOU)

RENOVATE: Final = Person("renovate[bot]", "renovate", 29139614)
QUEUE: Final = Person("github-merge-queue[bot]", "github-merge-queue", 118344674)
