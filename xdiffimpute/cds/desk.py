"""The desk of the Climate Data Store: one request in, one file out, and errors that say what to do.

The real client does the work (queue, polling, resumed downloads); here its errors are told apart.
A key is never shown.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..exceptions import CredentialsError, FetchError

__all__ = ["Desk", "desk"]

log = logging.getLogger("xdiffimpute")

URL = "https://cds.climate.copernicus.eu/api"
TIMEOUT = 60.0  # seconds without an answer


class Desk:
    """A connection to the Climate Data Store; see :func:`desk`.

    Parameters
    ----------
    client : cdsapi.Client
    tries : int
        How often a lost connection is tried again; for messages.
    """

    def __init__(self, client: Any, tries: int) -> None:
        self._client = client
        self._tries = tries

    def retrieve(self, dataset: str, request: dict[str, Any], target: Path) -> None:
        """Ask, wait in the queue, download.

        Parameters
        ----------
        dataset : str
        request : dict
        target : Path
            File to write; a part of it may be left where the download fails.

        Raises
        ------
        CredentialsError
            If the key is refused or the licence has not been accepted.
        FetchError
            If the request is refused or fails, or the connection is lost for good.
        OSError
            If the target cannot be written.
        """
        import requests

        try:
            self._client.retrieve(dataset, request, str(target))
        except requests.HTTPError as error:
            raise self._refusal(dataset, error) from error
        except requests.RequestException as error:
            raise FetchError(
                f"the connection to {self._client.url} was lost {self._tries} times "
                f"({_last_line(error)}); try again later"
            ) from error
        except AssertionError as error:  # how the client says that sizes differ
            raise FetchError(f"the download broke off ({_last_line(error)}); try again") from error
        except RuntimeError as error:  # failed, rejected, dismissed, or a size that differs
            raise FetchError(
                f"the Climate Data Store could not do it: {_text(error)}; see the request on "
                f"{_site(self._client.url)}/requests"
            ) from error
        except FileNotFoundError as error:
            if target.parent.exists():
                raise FetchError("the answer could not be downloaded; try again") from error
            raise

    def _refusal(self, dataset: str, error: Any) -> FetchError:
        code = error.response.status_code if error.response is not None else 0
        site, said = _site(self._client.url), _text(error)
        if code == 401:
            return CredentialsError(
                f"the Climate Data Store refuses the key ({said}); {_how_to(site)}"
            )
        if code == 403 and "licen" in said.lower():
            return CredentialsError(
                f"the licence of {dataset} has not been accepted; log in, accept it at "
                f"{site}/datasets/{dataset}?tab=download#manage-licences and run the same command "
                "again"
            )
        if code == 404:
            return FetchError(
                f"the Climate Data Store has no dataset {dataset!r} ({said}); its name stands at "
                f"the end of its address, {site}/datasets/..."
            )
        return FetchError(
            f"the Climate Data Store refuses the request: {said}; try it in the form at "
            f"{site}/datasets/{dataset}?tab=download, whose API request shows valid names"
        )


@contextmanager
def desk(*, retry_max: int = 20, sleep_max: float = 60.0, progress: bool = False) -> Iterator[Desk]:
    """Connect to the Climate Data Store with the user's own key.

    Parameters
    ----------
    retry_max : int
        How often a lost connection or a server error is tried again.
    sleep_max : float
        Seconds between tries, and the longest time between looks at the queue.
    progress : bool
        Show a bar of each download, if standard error is a terminal.

    Yields
    ------
    Desk

    Raises
    ------
    CredentialsError
        If there is no key; the message says where it goes.
    FetchError
        If cdsapi is not installed, or the server cannot be reached.

    Examples
    --------
    >>> with desk() as open_desk:  # doctest: +SKIP
    ...     open_desk.retrieve("reanalysis-era5-single-levels", request, Path("a.nc"))
    """
    try:
        import cdsapi
        import requests
    except ImportError as error:
        raise FetchError(
            "fetching needs cdsapi; install it with: pip install 'xdiffimpute[cds]'"
        ) from error
    url, key, verify = _credentials()
    with requests.Session() as session:
        try:  # at once, not after all the client's tries
            session.get(f"{url}/catalogue/v1/messages", timeout=TIMEOUT, verify=verify)
        except requests.RequestException as error:
            raise FetchError(
                f"cannot reach the Climate Data Store at {url} ({_last_line(error)}); check the "
                "network, and the url in ~/.cdsapirc or CDSAPI_URL"
            ) from error
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the server's news cannot be read
            client = cdsapi.Client(
                url=url, key=key, verify=verify, timeout=TIMEOUT,
                progress=progress and sys.stderr.isatty(), retry_max=retry_max,
                sleep_max=sleep_max, session=session, info_callback=log.info,
                warning_callback=log.warning, error_callback=log.error,
                debug_callback=log.debug,
            )  # fmt: skip
        yield Desk(client, retry_max)


def _credentials() -> tuple[str, str, bool]:
    """Address, key and whether to verify certificates, as the client finds them."""
    from cdsapi.api import get_url_key_verify

    file = _file()
    known = os.environ.get("CDSAPI_URL") or file.exists()
    try:
        url, key, verify = get_url_key_verify(None if known else URL, None, None)
    except Exception as error:  # the client raises plain Exception where something is missing
        raise CredentialsError(
            f"no key for the Climate Data Store was found ({_text(error)}); {_how_to(_site(URL))}"
        ) from error
    if not key or ":" in key:
        what = "looks like that of the old system (UID:KEY)" if key else "is empty"
        raise CredentialsError(f"the key {what}; {_how_to(_site(url))}")
    return str(url).rstrip("/"), str(key), bool(verify)


def _file() -> Path:
    return Path(os.environ.get("CDSAPI_RC", "~/.cdsapirc")).expanduser()


def _how_to(site: str) -> str:
    return (
        f"log in at {site}, copy the personal access token from {site}/profile, and write it to "
        f"~/.cdsapirc as two lines, 'url: {site}/api' and 'key: TOKEN' (or set CDSAPI_KEY); then "
        f"accept the licence of the dataset once, at {site}/datasets, on its download page"
    )


def _site(url: str) -> str:
    """Address of the web pages that belong to an API."""
    return url.rstrip("/").removesuffix("/api")


def _text(error: BaseException) -> str:
    """What the server said, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if " Error: " not in line] or lines
    return "; ".join(told) or type(error).__name__


def _last_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[-1]
