# SPDX-License-Identifier: Apache-2.0
"""Reads an exported folder as tools of the reference harness read its own, with Python's json and hashlib alone.

An independent peer for tests/spec/export_spec.lua: every hash, mean and standard error is computed again from the rows,
by that harness's definitions. Not part of the product.

    lm_eval_read.py FOLDER

prints one JSON object: for each task the number of rows, of docs, the filters in order, and what is wrong.
"""
import glob
import hashlib
import json
import math
import sys

ROW_KEYS = ["doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash",
            "target_hash"]


def hash_string(text):
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def leaves(value):
    return [leaf for item in value for leaf in leaves(item)] if isinstance(value, list) else [value]


def check_row(row):
    wrong = []
    if list(row) != ROW_KEYS + row["metrics"]:
        wrong.append(f"keys {list(row)}")
    if row["doc_hash"] != hash_string(json.dumps(row["doc"], indent=2, ensure_ascii=False)):
        wrong.append("doc_hash")
    prompt = row["arguments"]["gen_args_0"]["arg_0"]
    if row["prompt_hash"] != hash_string(prompt if isinstance(prompt, str) else prompt[0]):
        wrong.append("prompt_hash")
    if row["target_hash"] != hash_string(row["target"]):
        wrong.append("target_hash")
    if not all(isinstance(leaf, str) for leaf in leaves(row["resps"]) + leaves(row["filtered_resps"])):
        wrong.append("resps hold what is no string")
    return [f"doc {row['doc_id']} {row['filter']}: {what}" for what in wrong]


def check_aggregates(rows, record):
    wrong = []
    for name in dict.fromkeys(row["filter"] for row in rows):
        mine = [row for row in rows if row["filter"] == name]
        for metric in mine[0]["metrics"]:
            values = [row[metric] for row in mine]
            n, mean = len(values), sum(values) / len(values)
            if abs(record[f"{metric},{name}"] - mean) > 1e-12:
                wrong.append(f"{metric},{name}")
            error = record[f"{metric}_stderr,{name}"]
            if n > 1:
                want = math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1)) / math.sqrt(n)
                if abs(error - want) > 1e-9:
                    wrong.append(f"{metric}_stderr,{name}")
            elif error != "N/A":
                wrong.append(f"{metric}_stderr,{name} of one row")
    return wrong


def main():
    folder = sys.argv[1]
    [results_path] = glob.glob(folder + "/results_*.json")
    with open(results_path, encoding="utf-8") as handle:
        results = json.load(handle)
    report = {}
    for path in sorted(glob.glob(folder + "/samples_*.jsonl")):
        name = path.rsplit("/", 1)[-1]
        task = name[name.find("_") + 1:name.rfind("_")]  # get_file_task_name
        with open(path, encoding="utf-8") as handle:
            rows = [json.loads(line) for line in handle]
        wrong = [what for row in rows for what in check_row(row)] + check_aggregates(rows, results["results"][task])
        hashes = "".join(row["doc_hash"] + row["prompt_hash"] + row["target_hash"] for row in rows)
        if results["task_hashes"][task] != hash_string(hashes):
            wrong.append("task_hashes")
        report[task] = {"rows": len(rows), "docs": len({row["doc_id"] for row in rows}), "wrong": wrong,
                        "filters": list(dict.fromkeys(row["filter"] for row in rows)),
                        "effective": results["n-samples"][task]["effective"]}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
