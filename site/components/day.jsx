import { site } from '../lib/site.mjs';

export function Day({ iso }) {
  const day = new Intl.DateTimeFormat(site.language, { dateStyle: 'long', timeZone: 'UTC' });
  return <time dateTime={iso}>{day.format(new Date(`${iso}T00:00:00Z`))}</time>;
}
