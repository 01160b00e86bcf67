"use strict";

/** What the page asks its server, and how refusals come back as sentences; knows addresses, not what is shown. */
unetscope.requests = (() => {
  const SILENT = "the server does not answer; look at the terminal in which it runs, and start it again";

  /** An error whose message is a sentence for people. */
  class Refused extends Error {}

  const ask = async (address, options) => {
    let answer;
    try {
      answer = await fetch(address, options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused(SILENT);
    }
    const content = await answer.json().catch(() => ({ error: `the server answers with ${answer.status}; ask again` }));
    if (!answer.ok) throw new Refused(content.error);
    return content;
  };

  const get = (address) => ask(address, {});

  /**
   * @param {string} address
   * @param {Object} fields
   * @param {AbortSignal} signal - Ends the request, and its computation.
   */
  const post = (address, fields, signal) =>
    ask(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(fields), signal });

  /** Sends a file as it is; its name is told beside it. */
  const send = (address, file, signal) =>
    ask(`${address}?name=${encodeURIComponent(file.name.toWellFormed?.() ?? file.name)}`, {
      method: "POST",
      headers: { "Content-Type": "application/octet-stream" },
      body: file,
      signal,
    });

  return { get, post, send, Refused };
})();
