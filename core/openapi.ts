// The API's description.
export function openApi(): object { return {}; }
