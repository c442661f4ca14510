/** What a campaign found, for people. */
import type {CampaignResult} from './campaign.ts';

export function reportLines({entries, flushes, judged, rootsJudged}: CampaignResult): string[] {
  const table = (title: string, words: readonly (readonly string[])[]) => [
    title,
    ...count(words.flat()).map(([word, times]) => `  ${String(times).padStart(6)}  ${word}`),
  ];
  const bad = judged.filter(one => one.problems.length > 0);
  return [
    `${entries} entries, ${flushes} flushes; ${judged.length} disks judged, ${rootsJudged} with their root`,
    ...table(
      'the power went after',
      judged.map(one => [one.after]),
    ),
    ...table(
      'unflushed writes were in',
      judged.map(one => one.areas),
    ),
    ...table(
      'what would boot',
      judged.map(({verdict: {boots}}) => [
        boots === undefined ? 'nothing' : `${boots.version}${boots.onTrial ? ' on trial' : ''}`,
      ]),
    ),
    ...table(
      'the agent would go on from',
      judged.flatMap(({phase}) => (phase === undefined ? [] : [[phase]])),
    ),
    ...table(
      'left behind, without harm',
      judged.map(one => one.verdict.remarks),
    ),
    ...table(
      'violations',
      bad.map(one => one.problems),
    ),
    bad.length === 0 ? 'no violation' : `${bad.length} disks with violations`,
  ];
}

function count(words: readonly string[]): [string, number][] {
  const times = new Map<string, number>();
  for (const word of words) times.set(word, (times.get(word) ?? 0) + 1);
  return [...times].sort((a, b) => b[1] - a[1]);
}
