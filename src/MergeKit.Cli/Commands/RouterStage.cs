using MergeKit.Cli.Display;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Moe;
using MergeKit.Core.Moe.Routers;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;
using MergeKit.Inference.Checking;
using MergeKit.Inference.Moe;
using MergeKit.Inference.Runtime;

namespace MergeKit.Cli.Commands;

/// <summary>What a mixture of experts needs beside the merge: its routers are worked out before, and looked at before and after writing.</summary>
/// <param name="mixture">The mixture.</param>
/// <param name="plan">Its plan.</param>
/// <param name="probes">Opens the models that are run for it.</param>
/// <param name="display">Where to report.</param>
/// <param name="cancellation">Stops between steps.</param>
internal sealed class RouterStage(Mixture mixture, MergePlan plan, RouterProbes probes, RunDisplay display, CancellationToken cancellation)
{
    private const int TokensPerDomain = 2048, Window = 512;
    private readonly GateFitter _fitter = new(mixture, plan.Options, probes);
    private readonly List<RouterReport> _reports = [];

    /// <summary>What the routers do, before and after writing; empty where that was not looked at.</summary>
    public IReadOnlyList<RouterReport> Reports => _reports;

    /// <summary>Fills the routers of a plan in; null where the plan makes no mixture.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="output">The folder to make: beside it an interrupted run has kept its routers.</param>
    /// <param name="resume">Whether those count.</param>
    /// <param name="device">Where models are run.</param>
    /// <param name="display">Where to report.</param>
    /// <param name="cancellation">Stops between steps.</param>
    public static RouterStage? Fill(MergePlan plan, string output, ResumeMode resume, DeviceChoice device, RunDisplay display, CancellationToken cancellation)
    {
        if (GateFitter.MixtureOf(plan) is not { } mixture)
            return null;
        var stage = new RouterStage(mixture, plan, new RouterProbes(plan.Options.Threads, device), display, cancellation);
        if (mixture.Settings.NeedsStates)
            stage.FillKept(output, resume);
        else
            stage._fitter.Fill(cancellation);
        display.ShowProblems(stage._fitter.Problems);
        if (mixture.Settings.Gate != GateMode.Calibrated) // fitted rows depend on each other by nature: they add up to a constant
            display.ShowProblems(RouterReport.ConditionWarnings(stage._fitter.Gates()));
        return stage;
    }

    /// <summary>Looks at the routers through the states of the dense backbone, and through those of the written model. What cannot be run is a remark.</summary>
    public void Survey(string folder)
    {
        display.Say("looking at the routers");
        try
        {
            var domains = Domains();
            using (var backbone = probes.OpenPlanned("the backbone", mixture.DenseConfig, mixture.Backbone, mixture.Seed))
                _reports.Add(Run("routers before writing", backbone, domains));
            using (var written = probes.OpenFolder(folder))
                _reports.Add(Run("routers as written", written, domains));
            display.ShowProblems(_reports[^1].Warnings());
        }
        catch (InputException e)
        {
            display.ShowProblems(e.Problems.Select(problem => Problem.Warning($"the routers were not looked at: {problem.Message}")));
        }
    }

    /// <summary>Takes the routers that an interrupted run has worked out, or works them out and keeps them for the next one.</summary>
    private void FillKept(string output, ResumeMode resume)
    {
        using var folder = OutputFolder.Prepare(output);
        var kept = new KeptGates(mixture, plan);
        if (resume != ResumeMode.Never && kept.TryRead(folder))
        {
            display.ShowProblems([Problem.Note("took the routers that the interrupted run had worked out")]);
            return;
        }

        display.Say("working out the routers");
        try
        {
            _fitter.Fill(cancellation);
        }
        catch
        {
            folder.DisposeIfEmpty();
            throw;
        }

        kept.Write(folder);
    }

    private RouterReport Run(string title, IRouterProbe probe, IReadOnlyList<ProbeDomain> domains)
    {
        var fitting = domains.Select(domain => domain with { Sequences = [.. domain.Sequences.Select(ids => ids.Length <= probe.MaxLength ? ids : ids[..probe.MaxLength])] });
        return RouterSurvey.Run(title, probe, Written(), mixture.Routing, mixture.ExpertNames, [.. fitting], cancellation);
    }

    /// <summary>The routers as they are stored.</summary>
    private List<LayerGates> Written()
    {
        var type = plan.Jobs.First(job => job.Sources[0].Data is GateSource).OutputType;
        return [.. _fitter.Gates().Select(gates => gates with { Rows = [.. gates.Rows.Select(Rounded)], Correction = Rounded(gates.Correction) })];

        double[] Rounded(double[] row)
        {
            var values = Array.ConvertAll(row, value => (float)value);
            TensorCodec.Round(type, values);
            return Array.ConvertAll(values, value => (double)value);
        }
    }

    private IReadOnlyList<ProbeDomain> Domains()
    {
        var texts = new ProbeTexts(mixture.TokenizerFolder, Window);
        var own = texts.Domains(mixture, plan.Options, probes.ReadTexts, TokensPerDomain);
        return own.Count > 0 ? own : [new ProbeDomain(CheckText.DataSet.Name, -1, texts.Windows(CheckText.DataSet.Documents, TokensPerDomain))];
    }
}
