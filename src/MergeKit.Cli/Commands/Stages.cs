using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Recipes;

namespace MergeKit.Cli.Commands;

/// <summary>The results of a file's named documents: where they stand, which of them an interrupted run has already made, and what becomes of
/// them. Without <c>--intermediate-dir</c> they stand in a hidden folder beside the output, which is removed at the end, but stays after an
/// interruption so that the run can be gone on with.</summary>
internal sealed class Stages
{
    private readonly Dictionary<string, string> _made = new(StringComparer.Ordinal);
    private readonly string _folder;
    private readonly bool _isOurs;
    private readonly ResumeMode _resume;
    private string? _copy;

    private Stages(string folder, bool isOurs, ResumeMode resume) => (_folder, _isOurs, _resume) = (folder, isOurs, resume);

    /// <summary>Folders of the results made so far, by the documents' names.</summary>
    public IReadOnlyDictionary<string, string> Made => _made;

    /// <summary>Results in a folder of our own that stays.</summary>
    public static Stages In(string folder, ResumeMode resume) => new(folder, isOurs: true, resume);

    /// <summary>Decides the folder; <paramref name="final"/> is the document whose result is the file's, null in a file of one document.</summary>
    /// <exception cref="InputException">A folder is given, and holds a result of the final document's name already.</exception>
    public static Stages Open(string output, string? given, IRecipeDocument? final, ResumeMode resume)
    {
        var stages = new Stages(given ?? HiddenFolder(output), given is null, resume);
        if (given is not null && final?.Name is not null)
            OutputFolder.RequireFree(stages._copy = stages.FolderOf(final));
        return stages;
    }

    /// <summary>Where a document's result goes.</summary>
    /// <exception cref="InputException">Its name cannot be a folder's.</exception>
    public string FolderOf(IRecipeDocument recipe) => recipe.Name is { Length: > 0 } name && name[0] != '.' && name.IndexOfAny(['/', '\\', '\0']) < 0
        ? Path.Combine(_folder, name)
        : throw new InputException([Problem.Error($"name '{recipe.Name}' cannot be the name of a folder; wanted one without '/' and without a leading '.'", recipe.Location)]);

    /// <summary>Whether an earlier run has made the very same result. Another result of our own is removed; in a folder of the user's it is in the way.</summary>
    public bool IsMade(Recipe recipe, MergePlan plan)
    {
        var (target, note) = (FolderOf(recipe), NoteOf(recipe));
        _made[recipe.Name!] = target;
        if (!Directory.Exists(target))
            return false;
        if (plan.IsExecutable && _resume != ResumeMode.Never && File.Exists(note) && Preparing(() => File.ReadAllText(note)) == InputIdentity.Take(plan))
            return true;
        if (_isOurs)
            Delete(target);
        return false;
    }

    /// <summary>Notes what a result was made of, for a later run.</summary>
    public void Note(Recipe recipe, MergePlan plan) => Preparing(() =>
    {
        File.WriteAllText(NoteOf(recipe), InputIdentity.Take(plan));
        return true;
    });

    /// <summary>With an intermediate folder given, a named final result stands there too.</summary>
    public void KeepFinal(string output)
    {
        if (_copy is null)
            return;
        using var folder = OutputFolder.Prepare(_copy);
        foreach (var file in Preparing(() => Directory.GetFiles(output)))
            folder.CopyFile(Path.GetFileName(file), file);
        folder.Publish();
    }

    /// <summary>Removes the folder if it is ours.</summary>
    public void Clear()
    {
        if (_isOurs && Directory.Exists(_folder))
            Delete(_folder);
    }

    private string NoteOf(Recipe recipe) => Path.Combine(_folder, $".{recipe.Name}.mergekit-identity");

    private static string HiddenFolder(string output) => Path.Combine(Path.GetDirectoryName(output) ?? output, $".{Path.GetFileName(output)}.mergekit-intermediate");

    private static void Delete(string folder) => Preparing(() =>
    {
        Directory.Delete(folder, recursive: true);
        return true;
    });

    private static T Preparing<T>(Func<T> action)
    {
        try
        {
            return action();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new EnvironmentException($"intermediate results: {e.Message}", e);
        }
    }
}
