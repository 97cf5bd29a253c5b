#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""llama-server's own HTTP code out of the Python package xllamacpp, behind llama-server's command line.

What answers requests is llama.cpp's server, compiled as it is. What is not: how it starts and how it stops are this file's,
and of its options only those below are known; another one is an error, as it is there.
"""
import os
import signal
import sys
import threading


def fail(text):
    print("error: " + text, file=sys.stderr)
    sys.exit(1)


def cache_type(xllamacpp, name):
    kinds = {"f32": "GGML_TYPE_F32", "f16": "GGML_TYPE_F16", "bf16": "GGML_TYPE_BF16", "q8_0": "GGML_TYPE_Q8_0", "q4_0": "GGML_TYPE_Q4_0"}
    if name not in kinds:
        fail("invalid argument: cache type " + name)
    return getattr(xllamacpp.ggml_type, kinds[name])


def main():
    values, argv = {}, sys.argv[1:]
    aliases = {"-m": "--model", "-np": "--parallel", "-c": "--ctx-size", "-b": "--batch-size", "-ub": "--ubatch-size", "-t": "--threads",
               "-ctk": "--cache-type-k", "-ctv": "--cache-type-v", "-s": "--seed"}
    words = {"--model", "--alias", "--host", "--port", "--parallel", "--ctx-size", "--batch-size", "--ubatch-size", "--threads",
             "--cache-type-k", "--cache-type-v", "--seed"}
    switches = {"--offline", "--metrics", "--no-webui"}
    while argv:
        name = argv.pop(0)
        name = aliases.get(name, name)
        if name == "--version":
            import xllamacpp
            print("version: xllamacpp " + xllamacpp.__version__, file=sys.stderr)
            return
        if name in switches:
            values[name] = True
        elif name in words and argv:
            values[name] = argv.pop(0)
        else:
            fail("invalid argument: " + name)

    import xllamacpp
    params = xllamacpp.CommonParams()
    if "--model" not in values:
        fail("want -m FILE (this one serves a single model)")
    params.model.path = values["--model"]
    if "--alias" in values:
        params.model_alias = [values["--alias"]]
    if "--host" in values:
        params.hostnames = [values["--host"]]
    params.port = int(values.get("--port", 8080))
    params.n_parallel = int(values.get("--parallel", 1))
    params.n_ctx = int(values.get("--ctx-size", 0))
    if "--batch-size" in values:
        params.n_batch = int(values["--batch-size"])
    if "--ubatch-size" in values:
        params.n_ubatch = int(values["--ubatch-size"])
    if "--threads" in values:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(values["--threads"])
    if "--seed" in values:
        params.sampling.seed = int(values["--seed"])
    for option, field in (("--cache-type-k", "cache_type_k"), ("--cache-type-v", "cache_type_v")):
        if option in values:
            setattr(params, field, cache_type(xllamacpp, values[option]))
    params.n_gpu_layers = 0
    params.endpoint_metrics = "--metrics" in values
    params.ui = False
    if os.environ.get("LLAMA_API_KEY"):
        params.api_keys = [os.environ["LLAMA_API_KEY"]]

    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    try:
        server = xllamacpp.Server(params)
    except Exception as error:  # the package has one class of error for all
        print(error, file=sys.stderr)
        fail("exiting due to model loading error")
    print("main: server is listening on " + server.listening_address, flush=True)
    while not done.wait(0.2):
        pass
    sys.stdout.flush()
    os._exit(0)  # the package has no way to stop its threads


if __name__ == "__main__":
    main()
