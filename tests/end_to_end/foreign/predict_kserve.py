"""The KServe clients: python predict_kserve.py URL GRPC_ADDRESS COLUMNS_FILE.

It writes to stdout the probability by transport, as JSON.
"""

import asyncio
import json
import sys
from pathlib import Path

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig

MODEL, DRUG = "drug_consumption", "cannabis"


def request(columns):
    inputs = []
    for name, values in columns.items():
        is_text = isinstance(values[0], str)
        data = np.array([each.encode() for each in values], np.object_) if is_text else np.array(values, np.float64)
        inputs.append(InferInput(name, list(data.shape), "BYTES" if is_text else "FP64"))
        inputs[-1].set_data_from_numpy(data)
    return InferRequest(MODEL, inputs)


def probability(answer):
    return float(next(output for output in answer.outputs if output.name == DRUG).as_numpy()[0])


async def main():
    url, address, file = sys.argv[1:]
    columns = json.loads(Path(file).read_text(encoding="utf-8"))
    rest, grpc = InferenceRESTClient(RESTConfig(protocol="v2")), InferenceGRPCClient(address)
    answers = {
        "rest": probability(await rest.infer(url, request(columns), model_name=MODEL)),
        "grpc": probability(await grpc.infer(request(columns))),
    }
    await rest.close()
    await grpc.close()
    json.dump(answers, sys.stdout)


asyncio.run(main())
