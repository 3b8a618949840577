"""The API page's programs: each sends ``photo.jpg`` from the current folder to this server and
prints the answer.
"""

from __future__ import annotations

PYTHON = """from gradio_client import Client, handle_file  # pip install gradio_client

client = Client("{server}")
try:
    answer = client.predict(handle_file("photo.jpg"), api_name="/predict")
except ValueError as error:  # such as an image that cannot be read
    raise SystemExit(error)
for face in answer["faces"]:
    print(face["age"]["years"], face["age"]["interval"], face["gender"]["label"])
"""
CURL = """SERVER={server}gradio_api
# --fail-with-body (curl 7.76 or later): a refused request ends the chain, and its answer says why.
ANSWER=$(curl -s --fail-with-body -F "files=@photo.jpg" $SERVER/upload) &&
FILE=$(echo "$ANSWER" | cut -d'"' -f2) &&
ANSWER=$(curl -s --fail-with-body $SERVER/call/predict -H "Content-Type: application/json" \\
  -d '{{"data": [{{"path": "'$FILE'", "meta": {{"_type": "gradio.FileData"}}}}, null]}}') &&
CALL=$(echo "$ANSWER" | cut -d'"' -f4) &&
ANSWER=$(curl -sN --fail-with-body $SERVER/call/predict/$CALL)
STATUS=$?
echo "$ANSWER"
(exit $STATUS)
"""
JAVASCRIPT = """// node faces.mjs; in a browser, take the file from an <input type="file">
import {{ readFile }} from "node:fs/promises";

const server = "{server}gradio_api";

async function ask(path, options) {{
  const response = await fetch(server + path, options);
  const text = await response.text();
  if (response.ok) return text;
  const {{ detail }} = JSON.parse(text); // a sentence, or a list of what is wrong with each input
  throw new Error(detail[0]?.message ?? detail);
}}

try {{
  const form = new FormData();
  form.append("files", new Blob([await readFile("photo.jpg")]), "photo.jpg");
  const [path] = JSON.parse(await ask("/upload", {{ method: "POST", body: form }}));

  const data = [{{ path, meta: {{ _type: "gradio.FileData" }} }}, null];
  const headers = {{ "Content-Type": "application/json" }};
  const body = JSON.stringify({{ data }});
  const call = await ask("/call/predict", {{ method: "POST", headers, body }});
  const events = await ask(`/call/predict/${{JSON.parse(call).event_id}}`);
  const complete = events.split("event: complete")[1];
  if (!complete) throw new Error(events);
  const [answer] = JSON.parse(complete.split("data: ")[1].split("\\n")[0]);
  for (const {{ age, gender }} of answer.faces) console.log(age.years, age.interval, gender.label);
}} catch (error) {{
  console.error(error.message);
  process.exitCode = 1;
}}
"""
LANGUAGES = {
    "Python": (PYTHON, "python"),
    "curl": (CURL, "bash"),
    "JavaScript": (JAVASCRIPT, "javascript"),
}


def program(language: str, server: str) -> str:
    """The program in ``language``, a key of ``LANGUAGES``, for the API at the address ``server``,
    which ends with a slash.
    """
    return LANGUAGES[language][0].format(server=server)
