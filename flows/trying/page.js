"use strict";
// How the page asks: the server of `headstart try` decodes the picture and answers.
async function told(where, options) {
  let reply;
  try { reply = await fetch(where, options); } catch (error) { throw new Error("The command has ended. Start headstart try again and reload this page."); }
  const content = await reply.json();
  if (!reply.ok) throw new Error(content.error);
  return content;
}
const send = (where, file, name) => told(where, { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream", "X-Name": encodeURIComponent(name) } });
window.model = {
  facts: () => told("facts"),
  ask: (file) => send("ask", file, file.name || ""),
  look: async (file, label) => (await send("look", file, label)).picture,
};
