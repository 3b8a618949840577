// Streamlit adds an entry to the browser's history for each change of a page's settings, so that Back would walk through them one by
// one. Here a change of the query alone replaces the entry; another page is another entry, as before.
(() => {
  const push = history.pushState;
  history.pushState = function (state, unused, url) {
    let same = false;
    try {
      const next = new URL(url ?? location.href, location.href);
      same = next.origin === location.origin && next.pathname === location.pathname && next.hash === location.hash;
    } catch { /* the browser itself says what is wrong with it */ }
    return (same ? history.replaceState : push).call(this, state, unused, url);
  };
})();
