// What is more comfortable with a script; without one, every page works by its links and forms.
"use strict";

const fetched = async (url) => {
  const answer = await fetch(url, { credentials: "same-origin" });
  return new DOMParser().parseFromString(await answer.text(), "text/html");
};

const seen = (element, act) => {
  const watch = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) act(watch);
  }, { rootMargin: "600px" });
  watch.observe(element);
};

// one sound at a time
document.addEventListener("play", (event) => {
  for (const other of document.querySelectorAll("audio, video")) {
    if (other !== event.target && !other.paused) other.pause();
  }
}, true);

// further pages of samples, as their end comes into view
const endless = (cards, pager) => {
  let busy = false;
  const more = async (watch) => {
    const next = pager.querySelector("a[rel=next]");
    if (busy || !next) return;
    busy = true;
    pager.classList.add("loading");
    try {
      const page = await fetched(next.href);
      const found = page.querySelectorAll("#cards > li");
      cards.append(...found);
      const following = page.querySelector("#pager a[rel=next]");
      if (following && found.length) next.href = following.getAttribute("href"); else next.remove();
      pager.querySelector("span").textContent = `${cards.children.length} are shown`;
    } catch {
      watch.disconnect(); // the link is still there
    } finally {
      busy = false;
      pager.classList.remove("loading");
    }
    watch.unobserve(pager); // where the end is still in view, it is told of again
    watch.observe(pager);
  };
  seen(pager, more);
};

// samples like this one
const filled = (cards) => seen(cards, async (watch) => {
  watch.disconnect();
  const page = await fetched(cards.dataset.cards);
  const found = [...page.querySelectorAll("#cards > li")].slice(0, Number(cards.dataset.most));
  cards.append(...found);
  const wrong = page.getElementById("wrong");
  if (wrong) {
    const told = document.createElement("p");
    told.className = "notes";
    told.textContent = wrong.textContent;
    cards.before(told);
  }
});

// steps that are done again, within the page
const replayed = (link) => link.addEventListener("click", async (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const into = document.getElementById(link.dataset.into);
  link.classList.add("loading");
  try {
    const page = await fetched(link.href);
    into.replaceChildren(...page.getElementById("steps").childNodes);
    link.parentElement.remove();
    into.tabIndex = -1;
    into.focus();
  } catch {
    location.href = link.href;
  }
});

const cards = document.getElementById("cards"), pager = document.getElementById("pager");
if (cards && pager) endless(cards, pager);
for (const list of document.querySelectorAll("[data-cards]")) filled(list);
for (const link of document.querySelectorAll("a[data-into]")) replayed(link);
