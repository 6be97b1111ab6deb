// What the server knows: asked for once, and kept while it is likely to be asked for again.

// Answers that are kept; a picture on a large screen takes some ten megabytes.
const KEPT = {lines: 200, pictures: 10};

const kept = {lines: new Map(), pictures: new Map()};

export async function ask(path) {
  let answer;
  try {
    answer = await fetch(path);
  } catch {
    throw new Error("The server does not answer: start hawp explore again, and open the address that it prints.");
  }
  if (answer.ok && answer.headers.get("Content-Type") === "image/jpeg") return createImageBitmap(await answer.blob());
  const content = await answer.json().catch(() => ({error: `The server answered ${answer.status}.`}));
  if (!answer.ok) throw new Error(content.error);
  return content;
}

// An answer, from here where it is kept.
export const remember = (path) => recall("lines", path, path);

// A photograph, whichever of the paths to it is asked: `name` says which one it is.
export const rememberPicture = (path, name) => recall("pictures", path, name);

function recall(kind, path, name) {
  const answers = kept[kind], found = answers.get(name) ?? ask(path);
  answers.delete(name);
  answers.set(name, found);
  if (answers.size > KEPT[kind]) answers.delete(answers.keys().next().value);
  // What failed is asked for again: a photograph may come back.
  found.catch(() => answers.delete(name));
  return found;
}
