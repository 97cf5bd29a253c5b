# SPDX-License-Identifier: Apache-2.0
"""The two filters and the metric of lm-eval's task gsm8k (version 3.0), with Python's own `re`.

An independent peer for tests/spec/score_spec.lua: written from the description of that harness, sharing nothing with
qlua's scorers. Patterns are verbatim. Not part of the product.

    lm_eval_filters.py TEST_JSONL REPLIES_JSONL FIELD_PATH

prints one JSON object for each reply: index, and for each filter what it extracts and whether that is the answer.
"""
import json
import re
import sys

FILTERS = {
    "strict-match": (r"#### (\-?[0-9\.\,]+)", 0),
    "flexible-extract": (r"(-?[$0-9.,]{2,})|(-?[0-9]+)", -1),
}
REGEXES_TO_IGNORE = [",", r"\$", r"(?s).*#### ", r"\.$"]
FALLBACK = "[invalid]"


def regex_filter(pattern, group_select, reply):
    """RegexFilter: all matches, one of them, its first group that is not empty, stripped."""
    match = re.findall(pattern, reply)
    if not match:
        return FALLBACK
    match = match[group_select]
    if isinstance(match, tuple):
        match = [group for group in match if group]
        if not match:
            return FALLBACK
        match = match[0]
    return match.strip()


def exact_match(prediction, reference):
    """exact_match with ignore_case: patterns are removed from both, in order."""
    for pattern in REGEXES_TO_IGNORE:
        prediction = re.sub(pattern, "", prediction)
        reference = re.sub(pattern, "", reference)
    return int(prediction.lower() == reference.lower())


def reply_at(record, path):
    for key in path.split("."):
        record = record[int(key)] if isinstance(record, list) else record[key]
    return record


def main():
    test_path, replies_path, path = sys.argv[1:]
    with open(test_path, encoding="utf-8") as test, open(replies_path, encoding="utf-8") as replies:
        for index, (doc, record) in enumerate(zip(test, replies, strict=True)):
            reference = json.loads(doc)["answer"]
            reply = reply_at(json.loads(record), path)
            row = {"index": index}
            for name, (pattern, group_select) in FILTERS.items():
                first = regex_filter(pattern, group_select, reply)  # take_first of one reply
                row[name] = {"filtered": first, "exact_match": exact_match(first, reference)}
            print(json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    main()
