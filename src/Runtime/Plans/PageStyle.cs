namespace Shardwright.Plans;

/// <summary>The style sheet of the page: colours by what they mean, once light and once dark; rows of a table become blocks on a phone.</summary>
internal static class PageStyle
{
    public const string Sheet = """
        <style>
        :root { --page: #f5f6f8; --card: #ffffff; --ink: #1a1f2b; --soft: #565f6f; --rule: #e0e4ea; --track: #edf0f4; --accent: #2f6fdb; --bad: #c2362c; --bad-page: #fdf0ee;
          --forward: #7eaef5; --backward: #7fcf9b; --input: #f3b562; --weight: #c79bea; --update: #aab4c3; --comm: #e2574c; --live: #7eaef5; --box-ink: #10151d;
          --parameters: #7fcf9b; --gradients: #f3b562; --state: #c79bea; --activations: #7eaef5; --messages: #e2574c; --workspace: #aab4c3 }
        @media (prefers-color-scheme: dark) { :root { --page: #0f1319; --card: #171c24; --ink: #e8ecf3; --soft: #9ca7b7; --rule: #2a323e; --track: #222a35; --accent: #77a8f7; --bad: #ff8379; --bad-page: #2a1918;
          --forward: #6fa3f2; --backward: #66bf87; --input: #e3a34c; --weight: #b987e0; --update: #7d899b; --comm: #f0675c; --live: #5f93e0; --box-ink: #0c1016;
          --parameters: #57a877; --gradients: #cf9342; --state: #a476cc; --activations: #5f93e0; --messages: #e0584e; --workspace: #6d7889 } }
        * { box-sizing: border-box }
        body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100% }
        main { max-width: 1180px; margin: 0 auto; padding: 32px 24px 40px }
        h1 { font-size: 30px; line-height: 1.2; margin: 0; letter-spacing: -.01em; overflow-wrap: anywhere } h1 span { color: var(--soft); font-weight: 500 }
        h2 { font-size: 19px; margin: 0 0 4px } h3 { font-size: 15px; margin: 28px 0 2px } p { margin: 0 0 12px; max-width: 92ch }
        .kind { color: var(--accent); font-size: 13px; font-weight: 600; margin: 0 0 2px } .note, small { color: var(--soft); font-size: 13px } header .note { margin: 6px 0 20px; overflow-wrap: anywhere; max-width: none }
        code { font: 13px ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere }
        .card { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 20px 22px 22px; margin-top: 16px } .refused { background: var(--bad-page); border-color: var(--bad) } .refused h2 { color: var(--bad) }
        .figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(185px, 1fr)); gap: 12px } .figures div { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 14px 16px }
        .refused + .figures { margin-top: 16px } .figures span, .figures strong, .figures small { display: block } .figures span { color: var(--soft); font-size: 13px } .figures strong { font-size: 23px; line-height: 1.3; font-weight: 650 }
        .axes { display: flex; flex-wrap: wrap; gap: 10px; margin: 8px 0 14px } .axes div { border: 1px solid var(--rule); border-radius: 8px; padding: 8px 14px } .axes strong { font-size: 18px; margin: 0 4px } .axes b { color: var(--accent) } .axes small + small { display: block }
        .grid-ranks { display: grid; gap: 5px; max-width: 760px } .grid-ranks div { background: var(--track); border-radius: 6px; padding: 5px 8px; overflow: hidden; border-left: 4px solid var(--forward) } .grid-ranks b { margin-right: 8px } .grid-ranks small { font-size: 12px }
        .grid-ranks .s1 { border-color: var(--backward) } .grid-ranks .s2 { border-color: var(--input) } .grid-ranks .s3 { border-color: var(--weight) }
        .scroll { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-size: 14px } th { text-align: left; color: var(--soft); font-size: 12.5px; font-weight: 600; padding: 6px 12px 6px 0; border-bottom: 1px solid var(--rule); white-space: nowrap }
        td { padding: 6px 12px 6px 0; border-bottom: 1px solid var(--rule); vertical-align: top } tr:last-child td { border-bottom: 0 } .n { text-align: right; white-space: nowrap } th.n:last-child, td.n:last-child { padding-right: 0 }
        .main { font-weight: 550; white-space: nowrap } .main code { font-weight: 500 } .why { min-width: 200px; overflow-wrap: anywhere } .why small { display: block } .chip { border: 1px solid var(--rule); border-radius: 5px; padding: 0 6px; font-size: 12.5px; font-weight: 500; color: var(--accent) }
        .share { position: relative; min-width: 130px } .share i { position: absolute; right: 12px; top: 29px; height: 2px; max-width: calc(100% - 12px); background: var(--accent); border-radius: 1px }
        .lies { white-space: nowrap } .place { display: inline-flex; align-items: center; gap: 6px; margin-right: 16px; font-size: 13px; color: var(--soft); min-width: 82px } .place b { color: var(--ink); font-weight: 550 } .whole { fill: var(--track); stroke: var(--soft) } .part { fill: var(--accent) } .cut { stroke: var(--card); stroke-width: 1 }
        .bars { display: grid; gap: 7px; margin-top: 10px } .bar { display: grid; grid-template-columns: 110px 1fr 112px; gap: 12px; align-items: center; font-size: 14px } .bar b { text-align: right; white-space: nowrap; font-weight: 600 } .bar small { display: block; font-size: 12px; line-height: 1.2; overflow-wrap: anywhere }
        .track { position: relative; display: flex; height: 24px; background: var(--track); border-radius: 5px; overflow: hidden } .track i { display: block; min-width: 1px } .track em { position: absolute; top: 0; bottom: 0; width: 2px; background: var(--bad) }
        .legend { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 12px 0 0; padding: 0; font-size: 13px; color: var(--soft) } .legend i { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 6px; vertical-align: -1px } .legend b { color: var(--ink); font-weight: 600; margin-left: 6px } .legend i + i { margin-left: -4px }
        i.F { background: var(--forward) } i.B { background: var(--backward) } i.I { background: var(--input) } i.W { background: var(--weight) } i.U { background: var(--update) } i.C { background: var(--comm) }
        .m-Parameters { background: var(--parameters); fill: var(--parameters) } .m-Gradients { background: var(--gradients); fill: var(--gradients) } .m-OptimizerState { background: var(--state); fill: var(--state) } .m-Activations { background: var(--activations); fill: var(--activations) }
        .m-Communication { background: var(--messages); fill: var(--messages) } .m-Workspace { background: var(--workspace); fill: var(--workspace) } .live { background: var(--live); fill: var(--live) } .legend i.limit, .legend i.line { width: 16px; height: 0; border-radius: 0; border-top: 2px solid var(--ink); vertical-align: 4px } .legend i.limit { border-top: 2px dashed var(--bad) }
        .plot { display: grid; grid-template-columns: 84px 1fr; gap: 10px; font-size: 12px; color: var(--soft); margin-top: 6px } .scale { display: flex; flex-direction: column; justify-content: space-between; text-align: right; height: 200px; margin: -8px 0 8px } .area { min-width: 0 } .area svg { display: block; width: 100%; height: 200px; border-bottom: 1px solid var(--soft) }
        .ticks { display: grid; grid-template-columns: repeat(4, 1fr); margin-top: 4px } .ticks span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; padding-right: 6px; border-left: 1px solid var(--rule); padding-left: 4px }
        .grid { stroke: var(--rule); stroke-width: 1; vector-effect: non-scaling-stroke; fill: none } .arena { stroke: var(--ink); stroke-width: 1.5; vector-effect: non-scaling-stroke } .usable { stroke: var(--bad); stroke-width: 1.5; stroke-dasharray: 6 4; vector-effect: non-scaling-stroke }
        .chart { display: grid; grid-template-columns: auto 1fr; gap: 10px; margin-top: 6px } .chart .scroll { min-width: 0 } .names span { display: flex; align-items: center; height: 36px; font-size: 13px; white-space: nowrap } .chart svg { display: block } .idle { fill: var(--track) } .message { stroke: var(--comm); stroke-width: 1; fill: none; opacity: .75 }
        g rect { fill: var(--update) } g.F rect { fill: var(--forward) } g.B rect { fill: var(--backward) } g.I rect { fill: var(--input) } g.W rect { fill: var(--weight) } g .strip, g.F .strip, g.B .strip, g.I .strip, g.W .strip { fill: var(--comm); fill-opacity: 1 } .c1 rect { fill-opacity: .62 } .c2 rect { fill-opacity: .46 } .c3 rect { fill-opacity: .34 }
        svg text { font-size: 11.5px; text-anchor: middle; fill: var(--box-ink) } svg .tick { text-anchor: start; fill: var(--soft); font-size: 11px } .c1 text, .c2 text, .c3 text { fill: var(--ink) }
        footer { margin-top: 20px }
        @media (max-width: 640px) {
          main { padding: 20px 12px 28px } h1 { font-size: 24px } .card { padding: 16px 14px; border-radius: 10px } .figures { grid-template-columns: 1fr 1fr; gap: 8px } .figures div { padding: 10px 12px } .figures strong { font-size: 19px } .figures div:last-child:nth-child(odd) { grid-column: 1 / -1 }
          .bar { grid-template-columns: 1fr auto; gap: 2px 10px } .bar .track { grid-column: 1 / -1; grid-row: 2 } .bar small { display: inline; margin-left: 8px } .plot { grid-template-columns: 66px 1fr; font-size: 11px } .ticks span:nth-child(even) { display: none } .ticks { grid-template-columns: 1fr 1fr }
          .rows thead { display: none } .rows tr { display: grid; grid-template-columns: 1fr 1fr; gap: 2px 14px; padding: 10px 0; border-bottom: 1px solid var(--rule) } .rows tr:last-child { border-bottom: 0 } .rows td { border: 0; padding: 0; min-width: 0 }
          .rows .main, .rows .why, .rows .lies { grid-column: 1 / -1; white-space: normal } .rows td[data-l] { display: flex; justify-content: space-between; gap: 8px; font-size: 13px; white-space: normal } .rows td[data-l]::before { content: attr(data-l); color: var(--soft); text-align: left } .share { min-width: 0 } .share i { display: none } .rows td[data-l^="Exposed"] { grid-column: 1 / -1 }
          .grid-ranks div { padding: 4px 6px } .grid-ranks small { display: block }
        }
        </style>
        """;
}
