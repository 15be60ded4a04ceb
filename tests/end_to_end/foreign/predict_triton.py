"""The Triton client with compressed requests: python predict_triton.py REST_ADDRESS GRPC_ADDRESS COLUMNS_FILE.

It writes to stdout by transport and compression the probability, or the error, as JSON.
"""

import json
import sys
from pathlib import Path

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

MODEL, DRUG = "drug_consumption", "cannabis"


def tensors(module, columns):
    made = []
    for name, values in columns.items():
        is_text = isinstance(values[0], str)
        data = np.array([each.encode() for each in values], np.object_) if is_text else np.array(values, np.float64)
        made.append(module.InferInput(name, list(data.shape), "BYTES" if is_text else "FP64"))
        made[-1].set_data_from_numpy(data)
    return made


def probability(ask, *arguments, **options):
    try:
        return float(ask(*arguments, **options).as_numpy(DRUG)[0])
    except InferenceServerException as error:
        return str(error)


def main():
    rest, grpc, file = sys.argv[1:]
    columns = json.loads(Path(file).read_text(encoding="utf-8"))
    answers = {}
    with tritonclient.http.InferenceServerClient(rest) as client:
        asked = tensors(tritonclient.http, columns)
        for how in ("gzip", "deflate"):
            answers[f"rest {how}"] = probability(client.infer, MODEL, asked, request_compression_algorithm=how)
    with tritonclient.grpc.InferenceServerClient(grpc) as client:
        asked = tensors(tritonclient.grpc, columns)
        for how in ("gzip", "deflate"):
            answers[f"grpc {how}"] = probability(client.infer, MODEL, asked, compression_algorithm=how)
    json.dump(answers, sys.stdout)


main()
