// Keeps a page as it is at the emulator: whenever something has happened, it loads the page again and
// replaces the parts that have data-live. Everything works without it.
'use strict';
{
  const patience = 300; // milliseconds in which several events count as one
  const toggle = document.createElement('button');
  let source = null, timer = 0, asked = 0;

  const refresh = async () => {
    timer = 0;
    const turn = ++asked;
    const answer = await fetch(location.href, {headers: {Accept: 'text/html'}});
    if (!answer.ok || turn !== asked) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
    for (const old of document.querySelectorAll('[data-live]')) {
      const next = fresh.getElementById(old.id);
      if (next && next.innerHTML !== old.innerHTML && !isUsed(old)) replace(old, next);
    }
  };

  // A part in which text is selected stays as it is.
  const isUsed = part => {
    const selected = getSelection();
    return !selected.isCollapsed && part.contains(selected.anchorNode);
  };

  const replace = (old, next) => {
    const focused = old.contains(document.activeElement) ? document.activeElement.id : '';
    const opened = [...old.querySelectorAll('details')].map(one => one.open);
    old.replaceChildren(...next.childNodes);
    const details = [...old.querySelectorAll('details')];
    if (details.length === opened.length) details.forEach((one, i) => { one.open = opened[i]; });
    addCopyButtons(old);
    if (focused) document.getElementById(focused)?.focus();
  };

  const happened = () => { timer ||= setTimeout(refresh, patience); };

  const listen = () => {
    if (source || document.hidden || toggle.getAttribute('aria-pressed') !== 'true') return;
    source = new EventSource('/emulator/v1/events');
    for (const name of ['request', 'revision', 'dropped']) source.addEventListener(name, happened);
  };

  const stop = () => { source?.close(); source = null; };

  // A browser keeps few connections to a server, so a hidden page gives its own back.
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return stop();
    listen();
    happened();
  });

  const addCopyButtons = within => {
    for (const text of within.querySelectorAll('[data-copy]')) {
      if (text.previousElementSibling?.className === 'quiet copy') continue;
      const button = document.createElement('button');
      button.type = 'button';
      button.className = 'quiet copy';
      button.textContent = 'Copy';
      button.addEventListener('click', async () => {
        await navigator.clipboard.writeText(text.value ?? text.textContent);
        button.textContent = 'Copied';
        setTimeout(() => { button.textContent = 'Copy'; }, 1500);
      });
      text.before(button);
    }
  };

  addCopyButtons(document);
  if (document.querySelector('[data-live]') && document.querySelector('.title')) {
    toggle.type = 'button';
    toggle.className = 'quiet';
    toggle.textContent = 'Live';
    toggle.setAttribute('aria-pressed', 'true');
    toggle.addEventListener('click', () => {
      const on = toggle.getAttribute('aria-pressed') !== 'true';
      toggle.setAttribute('aria-pressed', on);
      if (on) { listen(); happened(); } else stop();
    });
    document.querySelector('.title').append(toggle);
    listen();
  }
}
