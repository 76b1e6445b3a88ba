/* Runs before the first paint, so that a dark page does not flash white. A plain script: modules come too late. */
(() => {
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const apply = () => {
    let theme = 'system';
    try {
      theme = JSON.parse(localStorage.getItem('parley.settings') ?? '{}')?.theme ?? 'system';
    } catch {
      // as the computer wants it
    }
    const resolved = theme === 'dark' || theme === 'light' ? theme : dark.matches ? 'dark' : 'light';
    document.documentElement.dataset.theme = resolved;
  };
  apply();
  dark.addEventListener('change', apply);
  addEventListener('parley-theme', apply);
  addEventListener('storage', apply);
})();
