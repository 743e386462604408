// The style sheet of report pages. Colours are variables, so that the dark theme is one block; print is
// always light.
#pragma once

#include <string_view>

namespace backlight::report {

// No '<' and no '&' in here: the page is XML as well.
inline constexpr std::string_view kPageStyle = R"css(
:root{color-scheme:light dark;--ink:#1d232c;--soft:#5d6675;--line:#e3e6ea;--strong:#c9ced6;--paper:#fbfbfa;--card:#fff;
--accent:#2a6fbb;--tint:#eef4fb;--mono:ui-monospace,"SF Mono","Cascadia Code",Menlo,Consolas,"DejaVu Sans Mono",monospace;
--sans:Inter,system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
@media screen and (prefers-color-scheme:dark){:root{--ink:#e6e8eb;--soft:#9aa3b0;--line:#2a3038;--strong:#434b57;
--paper:#111419;--card:#171a20;--accent:#6aa9f0;--tint:#182433}}
*{box-sizing:border-box}
html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.65 var(--sans);font-kerning:normal;
text-rendering:optimizeLegibility;overflow-wrap:break-word}
.page{max-width:940px;margin:0 auto;padding:56px 28px 72px}
header{margin-bottom:30px}
.kicker{margin:0 0 14px;font-size:12.5px;font-weight:600;letter-spacing:.09em;text-transform:uppercase;color:var(--accent)}
h1{margin:0;font-size:clamp(30px,4.6vw,42px);line-height:1.14;letter-spacing:-.022em;font-weight:700;text-wrap:balance}
.subtitle{margin:14px 0 0;max-width:44em;font-size:18.5px;line-height:1.5;color:var(--soft);text-wrap:pretty}
.facts{display:flex;flex-wrap:wrap;gap:8px 30px;margin:26px 0 0;padding:14px 0 0;border-top:1px solid var(--line);
font-size:13.5px;line-height:1.45}
.facts dt{color:var(--soft);font-size:12px}.facts dd{margin:0;font-weight:500}.facts div{max-width:100%}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(160px,1fr));gap:14px;margin:28px 0 0}
.tile{padding:18px 20px 16px;background:var(--card);border:1px solid var(--line);border-radius:12px}
.tile b{display:block;font-size:32px;line-height:1.15;font-weight:650;letter-spacing:-.025em;
font-variant-numeric:tabular-nums;white-space:nowrap}
.tile span{display:block;margin-top:6px;font-size:14px;line-height:1.35;font-weight:500}
.tile small{display:block;margin-top:2px;font-size:12.5px;line-height:1.4;color:var(--soft)}
nav{margin:0 0 12px;font-size:14px;line-height:1.4}
nav p{margin:0 0 8px;font-size:12px;font-weight:600;letter-spacing:.07em;text-transform:uppercase;color:var(--soft)}
nav ol{list-style:none;margin:0;padding:0}nav li{margin:0;padding:4px 0}nav li.sub{padding-left:14px;font-size:13px}
nav a{color:var(--soft);text-decoration:none}nav a:hover{color:var(--accent)}
section{margin:0 0 20px;padding-top:30px}
h2{margin:0 0 14px;font-size:25px;line-height:1.25;letter-spacing:-.015em;font-weight:680;scroll-margin-top:20px}
h3{margin:34px 0 10px;font-size:18px;line-height:1.35;letter-spacing:-.006em;font-weight:640;scroll-margin-top:20px}
h2+h3{margin-top:18px}
p,.list{margin:0 0 14px;max-width:44em}p{text-wrap:pretty;hyphens:auto}
.list{padding-left:1.3em}.list li{margin:4px 0}.list li::marker{color:var(--soft)}
code{font:0.875em/1.5 var(--mono);padding:.1em .34em;background:var(--tint);border-radius:4px}
pre{margin:18px 0;padding:14px 18px;overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:10px;
font:13px/1.6 var(--mono);tab-size:4}
.note{margin:20px 0;padding:14px 18px;background:var(--tint);border-left:3px solid var(--accent);border-radius:0 10px 10px 0;
font-size:15px}
.note p{margin:0 0 8px}.note p:last-child{margin:0}
figure{margin:22px 0 26px;padding:20px 22px 16px;background:var(--card);border:1px solid var(--line);border-radius:12px;
min-width:0}
figure .body{overflow-x:auto}figure .body>img{display:block;margin:0 auto}
figcaption{margin-top:14px;max-width:52em;font-size:13.5px;line-height:1.5;color:var(--soft);text-wrap:pretty}
figcaption b{margin-right:.5em;font-weight:640;color:var(--ink)}
.row{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,330px),1fr));gap:18px;margin:22px 0 26px}
.row figure{margin:0;display:flex;flex-direction:column}.row figure .body{flex:1;display:grid;align-content:start}
svg.bl-plot{display:block;max-width:100%;height:auto}.legend svg.bl-plot{margin:0 auto}
svg.bl-plot rect.f-paper{fill:none}
img{max-width:100%;height:auto;vertical-align:middle;border-radius:3px}
img.px{image-rendering:pixelated;image-rendering:crisp-edges;image-rendering:pixelated;border-radius:2px}
.grid{margin:0 auto;border-collapse:separate;border-spacing:10px}
.grid img{max-width:none;display:block;margin:0 auto;box-shadow:0 0 0 1px var(--line)}
.grid th{padding:0 2px;font-size:13px;line-height:1.35;font-weight:600;text-align:center;vertical-align:bottom}
.grid tbody th{text-align:right;vertical-align:middle;font-weight:500;color:var(--soft);min-width:6em;max-width:11em}
.grid td{padding:0}
.legend{margin:12px auto 2px}
.scroll{margin:20px 0 24px;overflow-x:auto}
.data{width:100%;border-collapse:collapse;font-size:14.5px;line-height:1.45;border-bottom:1.5px solid var(--strong)}
.under{margin:-14px 0 26px;font-size:13.5px;line-height:1.5;color:var(--soft)}
.data th{padding:0 14px 8px;border-bottom:1.5px solid var(--strong);font-size:12.5px;font-weight:600;text-align:left;
vertical-align:bottom;color:var(--soft);hyphens:none}
.data td{padding:8px 14px;border-bottom:1px solid var(--line);vertical-align:top}
.data tbody tr:last-child td{border-bottom:0}
.data .n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.data tr>:first-child{padding-left:4px}.data tr>:last-child{padding-right:4px}
.data .hi td{background:var(--tint);font-weight:600}
footer{margin-top:56px;padding-top:16px;border-top:1px solid var(--line);font-size:13px;color:var(--soft)}
@media (min-width:1240px){.page{max-width:1200px;display:grid;grid-template-columns:200px minmax(0,900px);column-gap:60px;
justify-content:center}header,main,footer{grid-column:2}nav{grid-column:1;grid-row:1/span 2;margin:0}
nav div{position:sticky;top:48px;max-height:calc(100vh - 96px);overflow-y:auto;padding-top:4px}}
@media (max-width:1239px){nav{padding:16px 20px;background:var(--card);border:1px solid var(--line);border-radius:12px}
nav ol{columns:220px 3;column-gap:28px}nav li{break-inside:avoid}}
@media (max-width:560px){.page{padding:32px 18px 48px}figure{padding:14px 14px 12px;border-radius:10px}
.tiles{grid-template-columns:1fr 1fr;gap:10px}.tile{padding:14px 14px 12px}.tile b{font-size:26px}}
@page{margin:16mm 15mm}
@media print{:root{color-scheme:light;--paper:#fff}body{font-size:10.5pt;line-height:1.5}
.page{display:block;max-width:none;padding:0}nav{display:none}header{margin-bottom:20px}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}h2,h3{break-after:avoid}section{padding-top:14px}
figure,.tile,.note,tr{break-inside:avoid}thead{display:table-header-group}p{orphans:3;widows:3}
figure .body,.scroll{overflow:visible}}
)css";

}  // namespace backlight::report
