"""Send requests with the Triton client, in an environment that has it: people from stdin, answers to stdout, as JSON.

python triton_client.py REST_ADDRESS GRPC_ADDRESS
"""

import json
import sys

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

MODEL = "drug_consumption"


def tensors(module, columns, **options):
    """The columns as the client's inputs, labels as the client wants them: bytes in an array of objects."""
    made = []
    for name, values in columns.items():
        is_text = isinstance(values[0], str)
        data = np.array([each.encode() for each in values], np.object_) if is_text else np.array(values, np.float64)
        tensor = module.InferInput(name, list(data.shape), "BYTES" if is_text else "FP64")
        tensor.set_data_from_numpy(data, **options)
        made.append(tensor)
    return made


def refusal(ask, *arguments):
    try:
        ask(*arguments)
    except InferenceServerException as error:
        return [error.status(), error.message()]
    raise AssertionError("not refused")


def main():
    columns = json.load(sys.stdin)
    drugs = columns.pop("drugs")
    wrong = columns | {"openness": [9.0] * len(columns["age"])}
    told = {}
    for name, module, address, forms in (
        ("rest", tritonclient.http, sys.argv[1], {"json": {"binary_data": False}, "binary": {}}),
        ("grpc", tritonclient.grpc, sys.argv[2], {"raw": {}}),
    ):
        with module.InferenceServerClient(address) as client:
            options = {"as_json": True} if name == "grpc" else {}
            told[name] = {
                "ready": [client.is_server_live(), client.is_server_ready(), client.is_model_ready(MODEL)],
                "server": client.get_server_metadata(**options),
                "model": client.get_model_metadata(MODEL, **options),
                "refusal": refusal(client.infer, MODEL, tensors(module, wrong)),
                "unknown": refusal(client.get_model_metadata, "zebra"),
            }
            for form, how in forms.items():
                everything = client.infer(MODEL, tensors(module, columns, **how), request_id="all")
                asked = [module.InferRequestedOutput(drug, **how) for drug in reversed(drugs)]
                chosen = client.infer(
                    MODEL, tensors(module, columns, **how), outputs=asked, parameters={"window": "month"}
                )
                if name == "rest":
                    told.setdefault("compressed", []).extend(
                        client.infer(
                            MODEL,
                            tensors(module, columns, **how),
                            request_compression_algorithm=algorithm,
                            priority=1,
                            timeout=1_000_000,
                        )
                        .as_numpy(drugs[0])
                        .tolist()
                        for algorithm in ("gzip", "deflate")
                    )
                told[f"{name} {form}"] = {
                    "id": everything.get_response(**options)["id"],
                    "decade": [everything.as_numpy(drug).tolist() for drug in drugs],
                    "month": [chosen.as_numpy(drug).tolist() for drug in drugs],
                }
    json.dump(told, sys.stdout)


main()
