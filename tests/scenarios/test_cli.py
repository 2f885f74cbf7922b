"""The command line as an operator uses it: every command on a real store, and one sentence for every mistake."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from channels.deep_links import verified_link
from channels.simulators.telegram import TelegramSimulator
from channels.simulators.wechat import WechatSimulator
from tests import services
from tests.faults.process import FRONTDESK, clean_environment, run_to_end

ROOT = Path(__file__).parents[2]
SAMPLE_ORDERS = ROOT / "config" / "assistants" / "shop" / "sample" / "orders.csv"
Frontdesk = Callable[..., subprocess.CompletedProcess[str]]


SHARED = {"FRONTDESK_NLU__MODEL_DIR": str(ROOT / ".frontdesk" / "model"), "COLUMNS": "200"}


@pytest.fixture
def frontdesk(tmp_path: Path) -> Frontdesk:
    """Run the command in an empty folder; the trained sample model is shared between runs."""

    def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        code, out, err = services.apart(run_to_end(arguments, {**SHARED, **settings}, tmp_path, within_s=110))
        return subprocess.CompletedProcess(arguments, code, out, err)

    return run


@pytest.fixture
def frontdesk_from_nothing(tmp_path: Path) -> Frontdesk:
    """The same in a new interpreter."""

    def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *FRONTDESK, *arguments],
            cwd=tmp_path,
            env=clean_environment({**SHARED, **settings}),
            capture_output=True,
            text=True,
            check=False,
            timeout=110,
        )

    return run


def parsed(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow  # ten commands, each a process of its own
def test_a_signed_in_customer_asks_complains_and_finds_it_all_in_the_record(
    frontdesk: Frontdesk, tmp_path: Path
) -> None:
    orders = tmp_path / "orders.csv"  # none of them late, whenever this runs
    orders.write_text(SAMPLE_ORDERS.read_text(encoding="utf-8").replace(",2026-", ",2096-"), encoding="utf-8")
    imported = parsed(frontdesk("import", "orders", str(orders), "--json"))
    assert (imported["inserted"], imported["errors"]) == (40, [])
    again = parsed(frontdesk("import", "orders", str(orders), "--json"))
    assert (again["inserted"], again["was_done"]) == (0, True)
    again = parsed(frontdesk("import", "orders", str(orders), "--again", "--json"))
    assert (again["inserted"], again["unchanged"]) == (0, 40)

    def say(text: str, user: str = "demo-9") -> Any:
        return parsed(frontdesk("say", text, "--user", user, "--json"))

    status = say("where is my order SO-20391?")
    assert set(status) >= {
        "replies", "intent", "confidence", "entities", "engine", "conversation_id", "customer_id", "turn_ms",
    }  # fmt: skip
    assert "SO-20391" in status["replies"][0]["text"]
    assert status["engine"] == "embedded"

    stranger = say("where is my order SO-20391?", user="somebody-else")
    assert "Swift" not in stranger["replies"][0]["text"]

    shown = frontdesk("customer", "show", "cli/default/demo-9")
    assert shown.returncode == 0, shown.stderr
    assert "where is my order SO-20391?" in shown.stdout
    record = parsed(frontdesk("customer", "show", "cli/default/demo-9", "--json"))
    assert [message["author"] for message in record["messages"]] == ["customer", "bot"]

    exported = parsed(frontdesk("customer", "export", "cli/default/demo-9"))
    assert "where is my order SO-20391?" in json.dumps(exported)
    receipt = parsed(frontdesk("customer", "erase", str(record["customer"]["id"]), "--yes"))
    assert receipt
    after = frontdesk("customer", "export", str(record["customer"]["id"]))
    assert "where is my order SO-20391?" not in after.stdout


@pytest.mark.slow  # each command is a process of its own
def test_staff_accounts_have_a_life_of_their_own(frontdesk: Frontdesk) -> None:
    password = parsed(frontdesk("user", "add", "li", "--role", "operator", "--json"))["password"]
    reset = frontdesk("user", "reset-password", "li")
    assert reset.returncode == 0
    assert password not in reset.stdout
    assert frontdesk("user", "disable", "li").returncode == 0
    assert frontdesk("user", "second-factor-off", "li").returncode == 0
    (user,) = parsed(frontdesk("user", "list", "--json"))
    assert (user["name"], user["role"]) == ("li", "operator")
    assert user["disabled_at"]
    assert "password_hash" not in json.dumps(user)
    assert frontdesk("user", "add", "li").returncode == 1


@pytest.mark.slow  # each command is a process of its own
def test_doctor_says_what_is_broken_and_what_repairs_it(frontdesk: Frontdesk) -> None:
    broken = frontdesk("doctor", "--json")
    assert broken.returncode == 1
    findings = {finding["check"]: finding for finding in json.loads(broken.stdout)}
    assert not findings["store"]["ok"]
    assert "db upgrade" in findings["store"]["repair"]
    assert frontdesk("db", "upgrade").returncode == 0
    repaired = {finding["check"]: finding for finding in json.loads(frontdesk("doctor", "--json").stdout)}
    assert repaired["store"]["ok"]
    assert repaired["assistant"]["ok"]


@pytest.mark.slow  # each command is a process of its own
def test_knowledge_is_imported_asked_and_measured(frontdesk: Frontdesk, tmp_path: Path) -> None:
    article = tmp_path / "petrol.md"
    article.write_text(
        "---\nid: petrol\nlanguage: en\ntitle: Do you sell petrol?\nquestions: [where can I refuel my car]\n---\n"
        "No petrol here, only kettles.\n",
        encoding="utf-8",
    )
    assert frontdesk("knowledge", "import", str(article)).returncode == 0
    hits = parsed(frontdesk("knowledge", "ask", "can I refuel my car with petrol here?", "--json"))
    assert hits[0]["article_id"] == "petrol"
    questions = ROOT / "config" / "assistants" / "shop" / "knowledge" / "questions.csv"
    report = parsed(
        frontdesk("knowledge", "test", "--articles", str(questions.parent), "--questions", str(questions), "--json")
    )
    assert report["recall@5"] >= report["recall@1"] > 0.4


def test_parsing_has_the_shape_of_rasa(frontdesk_from_nothing: Frontdesk) -> None:
    understood = parsed(frontdesk_from_nothing("nlu", "parse", "where is my order 2391?", "--json"))
    assert set(understood) >= {"text", "intent", "intent_ranking", "entities"}
    assert understood["intent"]["name"] == "order_status"
    (number,) = [entity for entity in understood["entities"] if entity["entity"] == "order_number"]
    assert understood["text"][number["start"] : number["end"]] == "2391"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [  # each is a process of its own: everyday one of the store; settings and arguments with the slow ones
        (("customer", "show", "99999"), 1, "no customer"),
        pytest.param(("run", "--roles", "worker"), 1, "PostgreSQL", marks=pytest.mark.slow),
        pytest.param(("say",), 2, "Missing argument", marks=pytest.mark.slow),
        pytest.param(("customer", "unlink", "99999"), 1, "no customer", marks=pytest.mark.slow),
        pytest.param(("import", "orders", "missing.csv"), 1, "missing.csv", marks=pytest.mark.slow),
        pytest.param(("run", "--roles", "juggler"), 2, "unknown role", marks=pytest.mark.slow),
        pytest.param(("simulate", "fax"), 2, "telegram", marks=pytest.mark.slow),
        pytest.param(("nlu", "train", "--data", "missing.yml"), 1, "missing.yml", marks=pytest.mark.slow),
        pytest.param(("no-such-command",), 2, "No such command", marks=pytest.mark.slow),
    ],
)
def test_a_mistake_gets_one_plain_sentence(
    frontdesk: Frontdesk, arguments: tuple[str, ...], code: int, told: str
) -> None:
    done = frontdesk(*arguments)
    assert done.returncode == code, done.stderr
    assert told.lower() in done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_a_wrong_setting_is_named_without_its_value(frontdesk: Frontdesk) -> None:
    done = frontdesk("doctor", FRONTDESK_CHANNELS__TELEGRAM__MAIN__TOKNE="very-secret")
    assert done.returncode == 1
    assert "FRONTDESK_CHANNELS__TELEGRAM__MAIN" in done.stderr
    assert "very-secret" not in done.stderr


def test_a_broken_assistant_is_refused_at_start_with_file_line_and_reason(frontdesk: Frontdesk, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "domain.yml").write_text("version: '3.1'\nintents:\n  - greet\n  - [\n", encoding="utf-8")
    done = frontdesk("run", "--port", "0", FRONTDESK_ASSISTANT=str(folder))
    assert done.returncode == 1
    assert "domain.yml:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow  # each command is a process of its own
def test_outbox_commands_on_an_empty_store(frontdesk: Frontdesk) -> None:
    assert parsed(frontdesk("outbox", "list", "--json")) == []
    assert "Nothing is waiting" in frontdesk("outbox", "list", "--state", "held").stdout
    assert parsed(frontdesk("outbox", "retry", "--all-parked", "--json")) == {"due": 0}
    unknown = frontdesk("outbox", "drop", "7")
    assert (unknown.returncode, unknown.stderr) == (
        1,
        "frontdesk: no outbox row 7; frontdesk outbox list shows them\n",
    )
    assert frontdesk("outbox", "retry").returncode == 2
    assert frontdesk("outbox", "list", "--state", "lost").returncode == 1


@pytest.mark.slow  # each command is a process of its own
async def test_a_signed_telegram_link_is_printed_and_opens_only_that_bot(frontdesk: Frontdesk) -> None:
    async with TelegramSimulator() as telegram:
        settings = {
            "FRONTDESK_SECRET_KEY": "a secret key that is long enough",
            "FRONTDESK_CHANNELS__TELEGRAM__MAIN__TOKEN": telegram.token,
            "FRONTDESK_CHANNELS__TELEGRAM__MAIN__API_BASE_URL": telegram.url,
        }
        made = parsed(
            await asyncio.to_thread(frontdesk, "telegram", "link", "campaign", "spring", "--json", **settings)
        )
        refused = await asyncio.to_thread(frontdesk, "telegram", "link", "campaign", "x" * 32, **settings)
        unknown = await asyncio.to_thread(
            frontdesk, "telegram", "link", "customer", "7", "--account", "other", **settings
        )

    assert made["url"] == f"https://t.me/frontdesk_bot?start={made['payload']}"
    link = verified_link(
        made["payload"], (b"a secret key that is long enough",), account="telegram/main", now=datetime.now(UTC)
    )
    assert link is not None
    assert (link.kind, link.id) == ("campaign", "spring")
    assert (refused.returncode, unknown.returncode) == (1, 2)
    assert "1 to 31 bytes" in refused.stderr


@pytest.mark.slow  # nine commands, each a process of its own
async def test_an_operator_manages_menu_codes_and_tags_at_wechat(frontdesk: Frontdesk, tmp_path: Path) -> None:
    menu = tmp_path / "menu.json"
    menu.write_text('{"button": [{"type": "click", "name": "查订单", "key": "intent:order_status"}]}', encoding="utf-8")
    broken = tmp_path / "broken.json"
    broken.write_text('{"button": "none"}', encoding="utf-8")
    async with WechatSimulator() as wechat:
        wechat.account.follower("o1")
        prefix = "FRONTDESK_CHANNELS__WECHAT__MAIN__"
        named = {f"{prefix}{name.upper()}": str(value) for name, value in wechat.settings().items()}

        async def run(*arguments: str) -> Any:
            return await asyncio.to_thread(frontdesk, "wechat", *arguments, **named)

        none = await run("menu", "show")
        assert (await run("menu", "set", str(menu))).returncode == 0
        assert parsed(await run("menu", "show"))["button"][0]["key"] == "intent:order_status"
        refused = await run("menu", "set", str(broken))
        code = parsed(await run("qr", "spring", "--days", "3", "--json"))
        tagged = await run("tag", "常客", "o1")
        tags = parsed(await run("tags", "--json"))
        unknown = await run("tags", "--account", "other")
    assert (none.returncode, refused.returncode, unknown.returncode) == (1, 1, 2)
    assert "no menu" in none.stderr or "46003" in none.stderr
    assert code["lasts_s"] == 3 * 86400
    assert tagged.returncode == 0
    assert [(tag["name"], tag["count"]) for tag in tags] == [("常客", 1)]
