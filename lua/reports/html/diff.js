// SPDX-License-Identifier: Apache-2.0
// Texts of models, shown: what differs between two of them, and how one is put on the page. Nothing here makes markup of
// a text: every piece becomes a text node, and characters that hide or reorder others are shown by their numbers.
"use strict";
const qluaText = (() => {
  const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;
  const name = (character) => "U+" + character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  const MOST_CELLS = 4000000;

  // A text for one line of a list: what cannot be seen is written out.
  const visible = (text) => String(text).replace(UNSEEN, (character) => "⟨" + name(character) + "⟩");

  // Words, runs of space and single marks, with where they begin; Chinese and Japanese by character.
  const tokens = (text) => {
    const found = [];
    const pattern = /\s+|[\u3040-\u30ff\u3400-\u9fff]|[\p{L}\p{N}_]+|./gsu;
    for (const match of text.matchAll(pattern)) found.push({ text: match[0], at: match.index });
    return found;
  };

  // Lengths of the longest common subsequence of the rests of both lists, from every place on.
  const lengths = (a, b) => {
    const width = b.length + 1;
    const table = new Uint16Array((a.length + 1) * width);
    for (let i = a.length - 1; i >= 0; i--) {
      for (let j = b.length - 1; j >= 0; j--) {
        table[i * width + j] = a[i].text === b[j].text ? table[(i + 1) * width + j + 1] + 1
          : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
      }
    }
    return table;
  };

  // Ranges [from, to) of `text` that are not in `base`: by words, after what both begin and end with is set aside.
  // Two very long texts are compared by those ends alone.
  const added = (base, text) => {
    const a = tokens(base), b = tokens(text);
    let start = 0, endA = a.length, endB = b.length;
    while (start < endA && start < endB && a[start].text === b[start].text) start++;
    while (endA > start && endB > start && a[endA - 1].text === b[endB - 1].text) { endA--; endB--; }
    const middleA = a.slice(start, endA), middleB = b.slice(start, endB);
    const ranges = [];
    const mark = (token) => {
      const last = ranges[ranges.length - 1], end = token.at + token.text.length;
      if (last && last[1] === token.at) last[1] = end; else ranges.push([token.at, end]);
    };
    if (middleA.length * middleB.length > MOST_CELLS || middleB.length > 60000) {
      if (middleB.length) ranges.push([middleB[0].at, middleB[middleB.length - 1].at + middleB[middleB.length - 1].text.length]);
      return ranges;
    }
    const table = lengths(middleA, middleB), width = middleB.length + 1;
    let i = 0, j = 0;
    while (j < middleB.length) {
      if (i < middleA.length && middleA[i].text === middleB[j].text) { i++; j++; }
      else if (i < middleA.length && table[(i + 1) * width + j] >= table[i * width + j + 1]) i++;
      else mark(middleB[j++]);
    }
    return ranges;
  };

  const appendPiece = (parent, text, className) => {
    const target = className ? document.createElement("mark") : parent;
    if (className) { target.className = className; parent.append(target); }
    let at = 0;
    for (const match of text.matchAll(UNSEEN)) {
      if (match.index > at) target.append(text.slice(at, match.index));
      const sign = document.createElement("span");
      sign.className = "unseen";
      sign.textContent = name(match[0]);
      target.append(sign);
      at = match.index + match[0].length;
    }
    if (at < text.length) target.append(text.slice(at));
  };

  // Put a text into an element, with ranges marked: `marks` is [[from, to, className], …], which may overlap.
  const put = (parent, text, marks) => {
    const edges = new Set([0, text.length]);
    for (const [from, to] of marks || []) { edges.add(Math.min(from, text.length)); edges.add(Math.min(to, text.length)); }
    const places = [...edges].sort((x, y) => x - y);
    for (let i = 0; i + 1 < places.length; i++) {
      const names = (marks || []).filter(([from, to]) => from <= places[i] && to >= places[i + 1]).map((one) => one[2]);
      appendPiece(parent, text.slice(places[i], places[i + 1]), names.join(" "));
    }
    return parent;
  };

  return { visible, added, put };
})();
