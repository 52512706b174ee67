using System.Globalization;
using System.Text;

namespace MergeKit.Core.Templating.Runtime;

/// <summary><c>strftime</c> in the C locale; <c>%-d</c> and its like leave out the leading zero.</summary>
internal static class DateFormat
{
    public static string Format(DateTime time, string format)
    {
        var text = new StringBuilder();
        for (var i = 0; i < format.Length; i++)
        {
            if (format[i] != '%' || i + 1 == format.Length)
            {
                text.Append(format[i]);
                continue;
            }

            var bare = format[i + 1] == '-' && i + 2 < format.Length;
            i += bare ? 2 : 1;
            var part = Directive(time, format[i]);
            text.Append(bare && part.Length > 1 ? part.TrimStart('0').PadLeft(1, '0') : part);
        }

        return text.ToString();
    }

    private static string Directive(DateTime time, char directive) => directive switch
    {
        '%' => "%",
        'Y' => Net(time, "yyyy"),
        'y' => Net(time, "yy"),
        'm' => Net(time, "MM"),
        'd' => Net(time, "dd"),
        'e' => time.Day.ToString(CultureInfo.InvariantCulture).PadLeft(2),
        'B' => Net(time, "MMMM"),
        'b' or 'h' => Net(time, "MMM"),
        'A' => Net(time, "dddd"),
        'a' => Net(time, "ddd"),
        'H' => Net(time, "HH"),
        'I' => Net(time, "hh"),
        'M' => Net(time, "mm"),
        'S' => Net(time, "ss"),
        'f' => Net(time, "ffffff"),
        'p' => time.Hour < 12 ? "AM" : "PM",
        'j' => time.DayOfYear.ToString("000", CultureInfo.InvariantCulture),
        'u' => (((int)time.DayOfWeek + 6) % 7 + 1).ToString(CultureInfo.InvariantCulture),
        'w' => ((int)time.DayOfWeek).ToString(CultureInfo.InvariantCulture),
        'F' => Net(time, "yyyy-MM-dd"),
        'T' or 'X' => Net(time, "HH:mm:ss"),
        'D' or 'x' => Net(time, "MM/dd/yy"),
        'R' => Net(time, "HH:mm"),
        'c' => $"{Net(time, "ddd MMM")} {time.Day,2} {Net(time, "HH:mm:ss yyyy")}",
        'n' => "\n",
        't' => "\t",
        'z' or 'Z' => "",
        _ => throw new TemplateFault($"strftime_now(): the directive '%{directive}' is not supported"),
    };

    private static string Net(DateTime time, string format) => time.ToString(format, CultureInfo.InvariantCulture);
}
