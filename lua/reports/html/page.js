// SPDX-License-Identifier: Apache-2.0
// The page's switches: language and colours. Shares `qluaPage` with the explorer: the texts, and who must hear of a change.
"use strict";
const qluaPage = (() => {
  const root = document.documentElement;
  const block = (id) => {
    const element = document.getElementById("data-" + id);
    return element ? JSON.parse(element.textContent) : null;
  };
  const words = block("words") || {};
  const listeners = [];

  // A text in the language shown, with its places filled. Values are data; the result only ever becomes a text node.
  const say = (key, values) => {
    const pair = typeof key === "string" ? words[key] || { en: key, zh: key } : key;
    const language = root.dataset.language;
    const text = language === "both" && pair.en !== pair.zh ? pair.en + " / " + pair.zh : pair[language] || pair.en;
    return text.replace(/\{(\w+)\}/g, (place, name) => (values && name in values ? String(values[name]) : place));
  };

  const element = (tag, className, text) => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const makeSwitch = (name, label, choices, chosen, choose) => {
    const group = element("div");
    group.id = "switch-" + name;
    group.setAttribute("role", "group");
    const buttons = choices.map(([value, text]) => {
      const button = element("button");
      button.type = "button";
      button.dataset.value = value;
      button.addEventListener("click", () => { choose(value); refresh(); });
      group.append(button);
      return { button, value, text };
    });
    const refresh = () => {
      group.setAttribute("aria-label", say(label));
      for (const one of buttons) {
        one.button.textContent = one.text.startsWith("=") ? one.text.slice(1) : say(one.text);
        one.button.setAttribute("aria-pressed", String(chosen() === one.value));
      }
    };
    listeners.push(refresh);
    refresh();
    return group;
  };

  const setLanguage = (language) => {
    root.dataset.language = language;
    root.lang = language === "zh" ? "zh-Hans" : "en";
    for (const listener of listeners) listener();
  };

  const bar = element("div", "switches");
  bar.append(
    makeSwitch("language", "language", [["en", "=English"], ["zh", "=中文"], ["both", "=En+中"]], () => root.dataset.language, setLanguage),
    makeSwitch("scheme", "scheme", [["auto", "auto"], ["light", "light"], ["dark", "dark"]], () => root.dataset.scheme, (value) => {
      root.dataset.scheme = value;
    }));
  document.body.prepend(bar);
  // Everything is to be read on paper, folded or not.
  window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));

  return { block, say, element, onLanguage: (listener) => listeners.push(listener) };
})();
