"""The API page's programs: each sends ``photo.jpg`` from the current folder to this server and
prints the answer.
"""

from __future__ import annotations

PYTHON = """from gradio_client import Client, handle_file  # pip install gradio_client

client = Client("{server}")
answer = client.predict(handle_file("photo.jpg"), api_name="/predict")
for face in answer["faces"]:
    print(face["age"]["years"], face["age"]["interval"], face["gender"]["label"])
"""
CURL = """SERVER={server}gradio_api
FILE=$(curl -s -F "files=@photo.jpg" $SERVER/upload | cut -d'"' -f2)
CALL=$(curl -s $SERVER/call/predict -H "Content-Type: application/json" \\
  -d '{{"data": [{{"path": "'$FILE'", "meta": {{"_type": "gradio.FileData"}}}}, null]}}' \\
  | cut -d'"' -f4)
curl -sN $SERVER/call/predict/$CALL
"""
JAVASCRIPT = """// node faces.mjs; in a browser, take the file from an <input type="file">
import {{ readFile }} from "node:fs/promises";

const server = "{server}gradio_api";
const form = new FormData();
form.append("files", new Blob([await readFile("photo.jpg")]), "photo.jpg");
const [path] = await (await fetch(`${{server}}/upload`, {{ method: "POST", body: form }})).json();

const data = [{{ path, meta: {{ _type: "gradio.FileData" }} }}, null];
const headers = {{ "Content-Type": "application/json" }};
const body = JSON.stringify({{ data }});
const call = await fetch(`${{server}}/call/predict`, {{ method: "POST", headers, body }});
const {{ event_id }} = await call.json();
const events = await (await fetch(`${{server}}/call/predict/${{event_id}}`)).text();
const [answer] = JSON.parse(events.split("event: complete")[1].split("data: ")[1].split("\\n")[0]);
for (const face of answer.faces) console.log(face.age.years, face.age.interval, face.gender.label);
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
