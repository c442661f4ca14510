/** The one group of the campaign. */
export const group = 'campaign';
