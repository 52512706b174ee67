using MergeKit.Core.Evaluation.Data;

namespace MergeKit.Inference.Checking;

/// <summary>A few short documents that a merge is run on when no other data are given: enough to tell a working model from a broken one,
/// far too few to rank models. Written for this project.</summary>
public static class CheckText
{
    private static readonly string[] Documents =
    [
        "The river rises in the hills to the north and runs for some forty miles before it reaches the sea. In spring, when the snow melts, the "
            + "water stands high in the fields, and the people of the valley move their animals to the upper meadows until the ground is dry again.",
        "A good test asks one question and gives one answer. If it fails, the reader should see at once which part of the program is wrong, what "
            + "was expected, and what was found instead. A test that can never fail is worse than no test, because it is believed.",
        "\"Have you seen my brother?\" she asked. \"He left this morning and said that he would be back for dinner, but it is late now, and nobody "
            + "in the village knows where he went.\" The old man shook his head and closed the door.",
        "/* Returns the number of bits that are set in a word. */\nint count_bits(unsigned int word)\n{\n    int count = 0;\n\n    while (word != 0) {\n"
            + "        word &= word - 1;\n        count++;\n    }\n    return count;\n}\n",
        "NAME\n       copy - copy files and directories\n\nSYNOPSIS\n       copy [OPTION]... SOURCE DEST\n\nDESCRIPTION\n       Copy SOURCE to DEST, or several "
            + "SOURCE files to a directory. With no option, an existing file of the same name is not changed.\n",
        "12+30=42\n7*8=56\n100-64=36\n15+15=30\n9*9=81\n250-125=125\n33+66=99\n6*7=42\n81-18=63\n40+2=42\n",
    ];

    /// <summary>The documents as a data set; each counts as one item.</summary>
    public static TextDataSet DataSet { get; } = new("bundled text", "(bundled)", Documents, IsPlainText: false);
}
