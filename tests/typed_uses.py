"""Uses of profiles and clients that type checkers pass, and where a line ends with `wrong`, do not; never run."""

import numpy as np
import polars as pl

from drugpred.client import AsyncClient, Client
from drugpred.codebook import Drug
from drugpred.schemas import EXAMPLE, Person, Prediction, Profile


def profiles(person: Person, drugs: list[Drug]) -> None:
    Profile(
        age=25,
        gender="F",
        education="University degree",
        country="UK",
        ethnicity="White",
        neuroticism=0.31,
        extraversion=-0.58,
        openness=1.24,
        agreeableness=-0.30,
        conscientiousness=-0.14,
        impulsivity=0.53,
        sensation_seeking=0.77,
    )
    Profile(**person)
    Profile(**EXAMPLE, drugs=["cannabis"], window="year", include={"windows"}, scale="standardized")
    Profile(**EXAMPLE, drugs=drugs).row()
    Profile(**EXAMPLE, include=["interval", "support"])

    Profile(**EXAMPLE, drug=["cannabis"])  # wrong
    Profile(**EXAMPLE, colour="red")  # wrong
    Profile(**EXAMPLE, drugs=["tea"])  # wrong
    Profile(**EXAMPLE, drugs=3)  # wrong
    Profile(**EXAMPLE, window="hour")  # wrong
    Profile(**EXAMPLE, include=["everything"])  # wrong
    Profile(**EXAMPLE, scale="centimetres")  # wrong
    Profile(
        age=25.5,  # wrong
        gender=1,  # wrong
        education="University degree",
        country="UK",
        ethnicity="White",
        neuroticism=0.31,
        extraversion=-0.58,
        openness="high",  # wrong
        agreeableness=0,
        conscientiousness=-0.14,
        impulsivity=0.53,
        sensation_seeking=0.77,
    )
    Profile(age=25, gender="F")  # wrong
    Profile()  # wrong


def clients(client: Client, profile: Profile) -> float:
    client.predict(profile)
    client.predict(EXAMPLE)
    client.predict({**EXAMPLE, "drugs": ["cannabis"]})
    client.predict(**EXAMPLE, window="day")
    client.predict_batch([profile, EXAMPLE])
    (risk,) = client.predict(**EXAMPLE, drugs=["lsd"]).risks
    client.explain(**EXAMPLE)["lsd"]["contributions"]["age"].is_integer()
    client.feedback("AR99", {"lsd": True})
    next(client.stream(pl.DataFrame(), drugs=["lsd"])).get_column("lsd")
    next(client.stream([np.zeros((1, 12))])).tolist()

    client.predict(**EXAMPLE, windows="day")  # wrong
    client.predict(profile, window="day")  # wrong
    client.predict("me")  # wrong
    client.feedback("AR99", {"tea": True})  # wrong
    next(client.stream(pl.DataFrame())).tolist()  # wrong
    abs(risk["chance"])  # wrong
    return risk["probability"]


async def awaited(client: AsyncClient) -> Prediction:
    (await client.predict(EXAMPLE)).risks[0]["label"].lower()
    client.predict(EXAMPLE).model_dump()  # wrong
    return await client.predict(**EXAMPLE, drugs=["lsd"])
